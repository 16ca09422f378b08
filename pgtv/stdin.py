"""What is piped in, as bytes: encodings are for who reads it to judge."""

from __future__ import annotations

import sys

from pgtv.errors import UsageError


def standard_input() -> bytes:
    """All of standard input. Raises UsageError where it is closed or cannot be read."""
    if sys.stdin is None:  # closed by who started us (`<&-`)
        raise UsageError("standard input is closed", "pipe something in, or name a file")
    try:
        return sys.stdin.buffer.read()
    except OSError as e:
        raise UsageError(f"cannot read standard input: {e.strerror or e}") from None
