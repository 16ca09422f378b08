"""The extension's advisory locks: which key of a TVIEW a lock's tag stands for.

A writer locks the keys of the TVIEW rows that it changes or creates by a hash, held until its
transaction ends, through PREPARE too. A hash cannot be turned round, but a key can be tried: two keys
share one in four billion times. Seen on 0.1.0-beta.34; an unknown scheme fits no key.
"""

from __future__ import annotations

VALUE, RELATION = 21622, 21623  # objsubid of a lock on one value, and on all of a relation
CREATES = 1  # objid of a RELATION lock of who creates rows in a TVIEW

_OFFSET, _PRIME = 0x811C9DC5, 0x01000193  # FNV-1a, 32 bits
_CREATED = (-1).to_bytes(2, "little", signed=True)


def hashes_of_key(key: str) -> tuple[int, int]:
    """objid of the locks on a row's key: of one that is changed, of one that is created."""
    text = b"\0" + key.encode()
    return _hash(text), _hash(_CREATED + text)


def _hash(data: bytes) -> int:
    hashed = _OFFSET
    for byte in data:
        hashed = (hashed ^ byte) * _PRIME & 0xFFFFFFFF
    return hashed
