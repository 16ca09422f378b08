"""Options that are amounts of bytes."""

from __future__ import annotations

import re

import click

_UNITS = "kmgt"
_AMOUNT = re.compile(rf"(\d+(?:\.\d+)?)\s*([{_UNITS}]?)i?b?", re.IGNORECASE)


def as_bytes(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """50GB, 1.5TB, 800 MB or a number of bytes; units are powers of 1024, as PostgreSQL's are."""
    if value is None:
        return None
    amount = _AMOUNT.fullmatch(value.strip())
    if amount is None:
        raise click.BadParameter(f"{value!r} is no size such as 50GB", context, parameter)
    power = _UNITS.index(amount[2].lower()) + 1 if amount[2] else 0
    return int(float(amount[1]) * 1024**power)
