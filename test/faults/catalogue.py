"""All faults, by id."""

from __future__ import annotations

import access
import definitions
import metadata
import restores
import standbys
import transactions
import triggers
from declare import Fault

FAULTS: dict[str, Fault] = {
    fault.id: fault
    for module in (triggers, metadata, definitions, access, transactions, restores, standbys)
    for fault in module.FAULTS
}
assert len(FAULTS) == sum(
    len(m.FAULTS)
    for m in (triggers, metadata, definitions, access, transactions, restores, standbys)
), "two faults share an id"
