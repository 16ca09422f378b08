"""Makes what is prepared older for the server itself: in its state files, while it is stopped.

The server keeps with each prepared transaction when that was, and reads it back as it starts. So views,
and whatever compares with the server's clock, tell the age that people would see.
"""

from __future__ import annotations

import struct
from pathlib import Path

from servers import Server

# TwoPhaseFileHeader of twophase.c: magic, total_len, xid, database, prepared_at, …; at the end a CRC-32C
_PREPARED_AT = 16
_HEADER = struct.Struct("=IIIIq")
_CRC = struct.Struct("=I")


def age_prepared(server: Server, seconds: dict[str, float]) -> None:
    """Restart the server with these prepared transactions, by gid, so much older."""
    server.psql("CHECKPOINT")  # which writes the files
    server.stop()
    for file in (server.data / "pg_twophase").iterdir():
        for gid, older in seconds.items():
            if gid.encode() + b"\0" in file.read_bytes():
                _make_older(file, older)
    server.start()


def _make_older(file: Path, seconds: float) -> None:
    state = bytearray(file.read_bytes())
    *_, length, _xid, _database, prepared_at = _HEADER.unpack_from(state)
    (crc,) = _CRC.unpack_from(state, len(state) - _CRC.size)
    assert length == len(state) and crc == _crc32c(state[: -_CRC.size]), "another layout"
    struct.pack_into("=q", state, _PREPARED_AT, prepared_at - int(seconds * 1e6))
    _CRC.pack_into(state, len(state) - _CRC.size, _crc32c(state[: -_CRC.size]))
    file.write_bytes(state)


def _crc32c(data: bytes | bytearray) -> int:
    """Castagnoli's, bit by bit: the files are small."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
