"""Drills are found by walking the package and chosen by mode, number or variant."""

from __future__ import annotations

import pytest

from pgtv.checks.registry import all_checks
from pgtv.cluster.provider import Docker
from pgtv.drills.registry import all_modes, select
from pgtv.errors import UsageError


def test_select() -> None:
    assert {m.id for m, _ in select()} == set(all_modes())
    assert [v.id for _, v in select(["circular-deps/plan"])] == ["plan"]
    assert select(["5"]) == select(["circular-deps"])
    assert select(["5/plan", "circular-deps"])[0][1].id == "plan"
    assert len(select(["5", "5/plan"])) == len(select(["5"]))


@pytest.mark.parametrize("name", ["crash", "13", "triggers/nope", ""])
def test_unknown(name: str) -> None:
    with pytest.raises(UsageError, match="there is no drill"):
        select([name])


def test_names_are_unique_and_checks_exist() -> None:
    for mode in all_modes().values():
        ids = [v.id for v in mode.variants]
        assert len(ids) == len(set(ids))
        for variant in mode.variants:
            for finding in variant.sees.findings:
                assert finding.partition(":")[0] in all_checks(), (mode.id, variant.id, finding)
            for name in variant.sees.thresholds:
                check, _, threshold = name.partition(".")
                assert threshold in all_checks()[check].thresholds, name


def test_every_variant_must_see_something() -> None:
    for mode, variant in select():
        sees = variant.sees
        assert sees.errors or sees.findings or sees.log or sees.equal, (mode.id, variant.id)


def test_in_containers_upgrades_and_subscriptions_are_skipped_with_a_reason() -> None:
    docker = Docker("any")
    reasons = {(m.id, v.id): docker.missing(v.needs) for m, v in select(["replication", "upgrade"])}
    run = {name for name, reason in reasons.items() if reason is None}
    assert {mode for mode, _ in run} == {"replication"}
    assert {v.id for _, v in select(["replication"])} - {name for _, name in run} == {"subscriber"}
