"""Who runs this on which machine, as receipts tell it: the login of the server may be many people's."""

from __future__ import annotations

import os
import socket


def account() -> str:
    """The operating system's user and the host's name, as `user@host`; the user's number where it has
    no name."""
    return f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return str(os.getuid())
