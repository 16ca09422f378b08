"""Settings that outlive a session: for whom they count and how they are taken back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pgtv.catalog.dialects.base import ident, literal
from pgtv.catalog.model import RoleSetting
from pgtv.checks.declare import Context
from pgtv.finding import Remedy

ON = ("on", "true", "yes", "1", "t", "y")
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 3.6e6, "d": 8.64e7, "": 1.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*")


def milliseconds(value: str) -> float | None:
    """A timeout as it was set (`250`, `2s`, `1.5 min`); None for what is no duration."""
    found = _DURATION.fullmatch(value)
    unit = _UNITS.get(found[2]) if found else None
    return None if found is None or unit is None else float(found[1]) * unit


@dataclass(frozen=True)
class Lasting:
    """A setting that new sessions begin with: its value, for whom, and what takes it back."""

    name: str
    value: str
    scope: str
    reset: tuple[str, ...]
    source: str
    who: str

    @property
    def evidence(self) -> list[dict[str, str]]:
        """Where the value was seen."""
        return [{"setting": self.name, "value": self.value, "from": self.source}]

    @property
    def remedy(self) -> Remedy:
        """Takes the setting back."""
        everywhere = len(self.reset) > 1
        return Remedy(
            sql=self.reset,
            role=self.who,
            undo=self.undo,
            note="Holds for every database of the server, running sessions too."
            if everywhere
            else "Counts for new sessions.",
        )

    @property
    def undo(self) -> str:
        """The statements that bring it again after `reset`."""
        again = f"SET {self.name} = {literal(self.value).strip()};"
        return "\n".join(s.replace(f"RESET {self.name};", again) for s in self.reset)


def lasting(context: Context, name: str) -> Iterator[Lasting]:
    """Where `name` is set for good: for roles and databases, and else in the server's configuration.

    The server's own value shows only where nothing is set for this database or for who looks.
    """
    snapshot = context.snapshot
    fixed = [s for s in snapshot.role_settings if s.name == name and not s.function]
    for setting in fixed:
        scope, reset = target(setting, name)
        who = who_resets(setting)
        yield Lasting(name, setting.value, scope, (reset,), "pg_db_role_setting", who)
    if any(s.role in (None, snapshot.server.user) for s in fixed):
        return
    server = next((s for s in snapshot.settings if s.name == name), None)
    if server is None:
        return
    value = server.reset if server.reset is not None else server.value
    if value is not None and server.source not in ("client", "database", "user", "database user"):
        yield Lasting(
            name, value, "every session",
            (f"ALTER SYSTEM RESET {name};", "SELECT pg_reload_conf();"), "pg_settings", "superuser",
        )  # fmt: skip


def who_resets(setting: RoleSetting) -> str:
    """Who may take back what is no superuser's setting: a database's owner nothing of a role's."""
    if setting.function:
        return "superuser, or the owner of the function"
    if setting.role:
        return f"superuser, or {setting.role}"
    return "superuser, or the owner of the database" if setting.database else "superuser"


def target(setting: RoleSetting, name: str) -> tuple[str, str]:
    """(for whom, in words; the statement that takes it back)."""
    if setting.function:
        return (
            f"function {setting.function}",
            f"ALTER FUNCTION {setting.function} RESET {name};",
        )
    database = f" IN DATABASE {ident(setting.database)}" if setting.database else ""
    if setting.role:
        where = f"role {setting.role}" + (f" in {setting.database}" if setting.database else "")
        return where, f"ALTER ROLE {ident(setting.role)}{database} RESET {name};"
    if setting.database:
        return (
            f"database {setting.database}",
            f"ALTER DATABASE {ident(setting.database)} RESET {name};",
        )
    return "every role", f"ALTER ROLE ALL RESET {name};"
