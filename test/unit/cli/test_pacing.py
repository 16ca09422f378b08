"""Which options and arguments count as given."""

from __future__ import annotations

import click
from click.core import ParameterSource

from pgtv.cli.pacing import given, pacing_given


@click.command()
@click.argument("what", nargs=-1)
@click.option("--max-rate", type=float)
@click.option("--batch", type=int)
def command(**_: object) -> None: ...


def test_an_argument_of_no_values_is_not_given_whatever_click_says_of_it() -> None:
    with command.make_context("x", ["--max-rate", "1"]) as context:
        context.set_parameter_source("what", ParameterSource.COMMANDLINE)
        assert given("what", "max_rate", "batch") == ["--max-rate"]
    with command.make_context("x", ["a", "b"]):
        assert len(given("what", "max_rate", "batch")) == 1


def test_the_pace_that_was_asked_for_is_asked_for_again() -> None:
    with command.make_context("x", ["--max-rate", "2.5", "--batch", "7", "a"]):
        assert pacing_given() == ["--batch", "7", "--max-rate", "2.5"]
    with command.make_context("x", []):
        assert pacing_given() == []
