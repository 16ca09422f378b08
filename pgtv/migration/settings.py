"""SET, transactions, and settings fixed for roles and databases."""

from __future__ import annotations

from pgtv.catalog.dialects.base import SETTING_PREFIX
from pgtv.definitions.parse import Node
from pgtv.migration.heard import Heard

LASTING = ("session_replication_role", "search_path", "row_security")


def value_of(node: Node) -> str:
    """The value of a SET, `a, b` for a list."""
    found = []
    for item in node.get("args", []):
        constant = item.get("A_Const", {})
        if "sval" in constant:
            found.append(constant["sval"].get("sval", ""))
        elif "ival" in constant:
            found.append(str(constant["ival"].get("ival", 0)))
    return ", ".join(found)


def variable(heard: Heard, node: Node) -> None:
    name = node.get("name", "")
    clears = node.get("kind") in ("VAR_RESET", "VAR_SET_DEFAULT")
    value = "" if clears else value_of(node)
    if node.get("kind") == "VAR_RESET_ALL":
        heard.then.append(lambda: _reset(heard))
        return
    put(heard, name, value, bool(node.get("is_local")))


def put(heard: Heard, name: str, value: str, local: bool) -> None:
    """SET, or set_config() with literals."""
    copy = heard.copy
    if name == "lock_timeout":
        on = bool(value.strip("0 msinh")) or any(c in value for c in "123456789")
        heard.then.append(lambda: setattr(copy, "local_timeout" if local else "timeout", on))
    elif name == "search_path":
        path = tuple(p.strip().strip('"') for p in value.split(",") if p.strip().strip('"'))
        heard.then.append(lambda: setattr(copy, "path", tuple(p for p in path if p != "$user")))
    elif name.endswith(".max_queue_size") and name.startswith(SETTING_PREFIX):
        heard.then.append(lambda: setattr(copy, "queue", int(value) if value.isdigit() else None))
    elif name == "session_replication_role":
        on = value == "replica"
        heard.then.append(lambda: setattr(copy, "local_replica" if local else "replica", on))
        if on:
            heard.say("replication-role")


def _reset(heard: Heard) -> None:
    copy = heard.copy
    copy.timeout = copy.local_timeout = copy.replica = copy.local_replica = False
    copy.path = copy.usual_path


def lasting(heard: Heard, node: Node) -> None:
    """ALTER ROLE … SET, ALTER DATABASE … SET."""
    setting = node.get("setstmt", {})
    name = setting.get("name", "")
    of = (node.get("role") or {}).get("rolename") or node.get("dbname") or "all"
    if name == "session_replication_role" and value_of(setting) == "replica":
        heard.say("replication-role/lasting", other=of)
    elif name in LASTING or name.startswith(SETTING_PREFIX):
        heard.say("setting/lasting", other=f"{name} of {of}")


def transaction(heard: Heard, node: Node) -> None:
    copy = heard.copy
    kind = node.get("kind", "")
    if kind in ("TRANS_STMT_BEGIN", "TRANS_STMT_START"):
        heard.then.append(copy.begin)
    elif kind == "TRANS_STMT_ROLLBACK":
        heard.then.append(copy.rollback)
    elif kind in ("TRANS_STMT_COMMIT", "TRANS_STMT_PREPARE"):
        heard.then.append(copy.commit)
    elif kind == "TRANS_STMT_SAVEPOINT":
        heard.then.append(lambda: copy.savepoint(node.get("savepoint_name", "")))
    elif kind == "TRANS_STMT_ROLLBACK_TO":
        heard.then.append(lambda: copy.rollback_to(node.get("savepoint_name", "")))
