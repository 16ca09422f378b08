"""Printed cures pasted into psql as the role that is printed with them, not as whoever tests."""

from __future__ import annotations

import re

from psycopg import sql
from servers import Database

from pgtv.finding import Finding

OWNER = "shop_owner"  # of every relation of the shop
# what is said of several relations at once
_EVERY = re.compile(
    r"(the )?owners? of (the tables|both tables|the TVIEWs|the children and of the TVIEWs)"
    r"|the TVIEWs' owner"
)
_RELATION = "SELECT r.rolname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = "
_OWNERS = {
    "the extension": "SELECT r.rolname FROM pg_extension e JOIN pg_roles r ON r.oid = e.extowner"
    " WHERE e.extname = 'pg_tviews'",
    "the publication": "SELECT r.rolname FROM pg_publication p JOIN pg_roles r ON r.oid = p.pubowner",
    # no other role can own one
    "the event trigger": "SELECT current_user",
}


def paste(shop: Database, finding: Finding) -> str:
    """The cure into psql, in a session of the least role that is printed; gives that role."""
    remedy = finding.remedy
    assert remedy and remedy.sql and remedy.role, f"{finding.id} prints SQL and not who may run it"
    role = least(shop, remedy.role)
    shop.sql("\n".join((f"SET SESSION AUTHORIZATION {_name(role)};", *remedy.sql)))
    return role


def least(shop: Database, said: str) -> str:
    """The role that `said` means in the shop: of several that may, one that is no superuser."""
    offered = re.split(r", or | or (?=a superuser)", said)
    who = next((one for one in offered if not re.match(r"(a )?superuser\b", one)), None)
    if who is None:
        return _one(shop, "SELECT current_user")
    who = re.sub(r",? with CREATE on .*", "", who)
    if who == "a role with REPLICATION":
        who = "attribute_replication"
        shop.sql(
            f"DO $$ BEGIN CREATE ROLE {who} REPLICATION; EXCEPTION WHEN duplicate_object THEN END $$"
        )
    if _EVERY.fullmatch(who):
        return OWNER
    found = re.fullmatch(r"(?:the )?owner of (.+)", who)
    if found is None:
        role = re.sub(r"a member of (.*?) and .*", r"\1", who)
        assert _one(shop, f"SELECT count(*) FROM pg_roles WHERE rolname = {_text(role)}") == "1", (
            f"{said!r} names no role"
        )
        return role
    what = re.sub(r" \(.*\)$", "", found[1])
    if what == "the database":
        shop.sql(
            "SET default_transaction_read_only = off;"
            f" ALTER DATABASE {_name(shop.name)} OWNER TO {OWNER}"
        )
        return OWNER
    if what in _OWNERS:
        return _one(shop, _OWNERS[what])
    owners = {_one(shop, f"{_RELATION}{_text(name)}::regclass") for name in what.split(", ")}
    assert len(owners) == 1, f"{said!r}: these have several owners: {', '.join(owners)}"
    return owners.pop()


def superuser(shop: Database, role: str) -> bool:
    return _one(shop, f"SELECT rolsuper FROM pg_roles WHERE rolname = {_text(role)}") == "t"


def _one(shop: Database, query: str) -> str:
    return shop.sql(query).strip()


def _name(name: str) -> str:
    return sql.Identifier(name).as_string(None)


def _text(text: str) -> str:
    return sql.Literal(text).as_string(None)
