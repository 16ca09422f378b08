"""Settings that outlive a session: for whom they count and how they are taken back."""

from __future__ import annotations

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import RoleSetting

ON = ("on", "true", "yes", "1", "t", "y")


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
