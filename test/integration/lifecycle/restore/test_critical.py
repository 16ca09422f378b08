"""verify --critical on a restored server: what counts first, and how much is proven so far."""

from __future__ import annotations

import re

from servers import Database

LINE = re.compile(
    r"^ *[\d.]+ s  (\w+)  (\S+|\".*?)((?: \(\w+\))*): (\d) of 9 TVIEWs, ([\d,]+) rows \((\d+) %\)$"
)
BYPASS = "SET session_replication_role = replica; UPDATE public.tb_customer SET name = 'x'"


def told(stderr: str) -> list[tuple[str, ...]]:
    found = [LINE.match(line) for line in stderr.splitlines()]
    return [m.groups() for m in found if m]


def test_critical_ones_come_first_and_each_line_says_how_much_is_proven(shop: Database) -> None:
    shop.sql("ANALYZE")
    done = shop.pgtv("verify", "--critical", "tv_category,tv_order")
    assert done.returncode == 0, done.stderr
    lines = told(done.stderr)
    assert [x[:5] for x in lines[:4]] == [
        ("proven", "public.tv_category", " (critical)", "1", "10"),
        ("proven", "public.tv_customer", " (critical)", "2", "210"),  # tv_order reads it
        ("proven", '"Sales Dept".tv_order', " (critical)", "3", "710"),
        ("proven", "public.tv_basket", "", "4", "910"),
    ]
    assert len(lines) == 9 and lines[-1][3:] == ("9", "2,910", "100")
    shares = [int(x[5]) for x in lines]
    assert shares == sorted(shares) and shares[2] == 24
    assert "9 TVIEWs: 9 equal" in done.stdout


def test_what_differs_is_not_proven(shop18: Database) -> None:
    shop18.sql("ANALYZE")
    shop18.sql(BYPASS + " WHERE pk_customer = 1")
    done = shop18.pgtv("verify", "--critical", "tv_order")
    assert done.returncode == 2
    lines = told(done.stderr)
    assert lines[0][:5] == ("DIFFERS", "public.tv_customer", " (critical)", "0", "0")
    assert int(lines[-1][5]) < 100
    proven = sum(x[0] == "proven" for x in lines)
    assert lines[-1][3] == str(proven) and proven < 9


def test_interrupted_it_goes_on_and_counts_what_was_proven(shop18: Database) -> None:
    shop18.sql("ANALYZE")
    again = ("verify", "--critical", "tv_order", "--resume", "proof")
    first = shop18.pgtv(*again, "--budget", "1ms")
    assert [x[0] for x in told(first.stderr)] == ["proven"] + ["SKIPPED"] * 8
    lines = told(shop18.pgtv(*again).stderr)
    assert lines[0][1:5] == ("public.tv_customer", " (critical) (earlier)", "1", "200")
    assert [x[0] for x in lines] == ["proven"] * 9 and lines[-1][5] == "100"
    assert not (shop18.folder / "proof").exists()


def test_names_that_cannot_come_first_are_refused(shop18: Database) -> None:
    for args, why in (
        (("--critical", "tv_nope"), "no TVIEW 'tv_nope'"),
        (("--critical", "+tv_order"), "takes names"),
        (("tv_stock", "--critical", "tv_order"), "not to be verified"),
        (("--critical", "tv_order", "--sample", "5%"), "proves every row"),
        (("--critical", "tv_order", "--oldest-first"), "proves every row"),
    ):
        done = shop18.pgtv("verify", *args)
        assert done.returncode == 3 and why in done.stderr, done.stderr
