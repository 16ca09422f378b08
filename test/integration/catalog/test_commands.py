"""`pgtv snapshot` and `pgtv status` as people run them."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
from servers import Database

from pgtv.catalog import codec


def test_save_show_diff(shop: Database, tmp_path: Path, root: Path) -> None:
    file = tmp_path / "before.json"
    done = shop.pgtv("snapshot", "save", str(file))
    assert done.returncode == 0 and done.stdout == ""
    assert "9 TVIEWs" in done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    published = json.loads((root / "schemas" / "pgtv.snapshot.1.json").read_text())
    jsonschema.validate(json.loads(file.read_text()), published)
    shown = shop.pgtv("snapshot", "show", str(file))
    assert shown.returncode == 0
    assert '"Sales Dept".tv_order_line' in shown.stdout
    assert json.loads(shop.pgtv("snapshot", "show", str(file), "--format", "json").stdout)["tviews"]

    same = shop.pgtv("snapshot", "diff", str(file))
    assert same.returncode == 0, same.stdout
    assert "No difference." in same.stdout
    # writes and statistics are no difference; what somebody decided is
    shop.sql("UPDATE public.tb_customer SET name = name || '!'; ANALYZE")
    assert shop.pgtv("snapshot", "diff", str(file)).returncode == 0
    shop.sql(
        "ALTER TABLE public.tb_customer DISABLE TRIGGER"
        " trg_tview_row_customer_on_public_tb_customer;"
        "ALTER TABLE public.tv_customer OWNER TO postgres;"
        "GRANT DELETE ON public.tv_customer TO PUBLIC;"
        "CREATE INDEX extra ON public.tv_customer ((data->>'name'));"
        "SELECT tviews.pg_tviews_drop('public.tv_stock')"
    )
    done = shop.pgtv("snapshot", "diff", str(file), "--format", "json")
    assert done.returncode == 1
    changes = {
        (c["change"], c["kind"], c["object"], c["field"])
        for c in json.loads(done.stdout)["changes"]
    }
    trigger = "public.tb_customer: trg_tview_row_customer_on_public_tb_customer"
    assert {
        ("changed", "trigger", trigger, "state"),
        ("changed", "relation", "public.tv_customer", "owner"),
        ("added", "grant", "public.tv_customer: DELETE to PUBLIC", None),
        ("added", "index", "public.tv_customer: extra", None),
        ("removed", "TVIEW", "public.tv_stock", None),
    } <= changes
    # two files, and the other way round
    after = tmp_path / "after.json"
    assert shop.pgtv("snapshot", "save", str(after)).returncode == 0
    human = shop.pgtv("snapshot", "diff", str(after), str(file))
    assert human.returncode == 1
    assert "+ TVIEW public.tv_stock" in human.stdout
    assert "disabled → enabled" in human.stdout


def test_diff_tells_what_grew(shop: Database, tmp_path: Path, root: Path) -> None:
    """And that is no difference; sizes are those of the server."""
    shop.sql("ALTER TABLE public.tv_customer SET (autovacuum_enabled = off); ANALYZE")
    file, older = tmp_path / "now.json", tmp_path / "older.json"
    assert shop.pgtv("snapshot", "save", str(file)).returncode == 0
    close = shop.pgtv("snapshot", "diff", str(file), "--room", "1GB")
    assert close.returncode == 3
    assert "less than an hour apart" in close.stderr
    taken = codec.load(file)
    then = (datetime.fromisoformat(taken.taken_at) - timedelta(days=2)).isoformat()
    codec.save(replace(taken, taken_at=then), older)
    shop.sql(
        "INSERT INTO public.tb_customer (name, email)"
        " SELECT string_agg(md5(g::text || i), ''), g::text FROM generate_series(1, 500) g,"
        " generate_series(1, 200) i GROUP BY g"
    )
    shop.sql("ANALYZE")
    done = shop.pgtv("snapshot", "diff", str(older), "--format", "json", "--room", "1GB")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    published = json.loads((root / "schemas" / "pgtv.snapshot-diff.1.json").read_text())
    jsonschema.validate(document, published)
    grown = {g["name"]: g for g in document["growth"]["tviews"]}["public.tv_customer"]
    size, indexes = shop.sql(
        "SELECT pg_table_size('public.tv_customer'), pg_indexes_size('public.tv_customer')"
    ).split("|")
    # the maps beside a table, and TOAST's index, are the rest
    assert abs(grown["bytes_after"] - int(size) - int(indexes)) < 200_000
    assert grown["bytes_after"] - grown["bytes_before"] > 2_000_000, "rows are in TOAST"
    assert grown["bytes_per_day"] == pytest.approx(
        (grown["bytes_after"] - grown["bytes_before"]) / 2, rel=0.01
    )
    assert (grown["rows_before"], grown["rows_after"]) == (200, 700)
    assert "public.tv_customer" in shop.pgtv("snapshot", "diff", str(older)).stdout


def test_timer_keeps_and_prunes(shop: Database, tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    old = [folder / f"{shop.name}-2025010{d}T000000Z.snapshot.json" for d in (1, 2, 3)]
    assert shop.pgtv("snapshot", "save", "--dir", str(folder), "--keep", "2").returncode == 0
    (first,) = folder.iterdir()
    for path in old:
        codec.save(codec.load(first), path)
    done = shop.pgtv("snapshot", "save", "--dir", str(folder), "--keep", "2")
    assert done.returncode == 0, done.stderr
    assert not old[0].exists() and not old[1].exists()
    assert len(list(folder.iterdir())) == 2
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for wrong in (["--keep", "2"], ["x.json", "--dir", "d"], ["--dir", "d", "--keep", "0"]):
        assert shop.pgtv("snapshot", "save", *wrong).returncode == 3


def test_the_last_good_one_is_not_replaced(shop: Database, tmp_path: Path) -> None:
    """The database is saved again under its name, but not once it has lost a TVIEW or has it otherwise."""
    file = tmp_path / "good.json"
    for _ in range(2):
        assert shop.pgtv("snapshot", "save", str(file)).returncode == 0
    good = file.read_bytes()
    for broken in (
        "SELECT tviews.pg_tviews_create_or_replace('public.tv_category', $$SELECT c.pk_category, c.id,"
        " jsonb_build_object('n', c.name) AS data FROM public.tb_category c$$)",
        "DELETE FROM tviews.pg_tview_meta WHERE entity = 'customer'",
        "DROP EXTENSION pg_tviews CASCADE",
    ):
        shop.sql(broken)
        done = shop.pgtv("snapshot", "save", str(file))
        assert done.returncode == 3
        assert f"{file} exists and is not replaced: it holds " in done.stderr
        assert "give another name" in done.stderr
        assert file.read_bytes() == good
    assert shop.pgtv("snapshot", "save", str(tmp_path / "evidence.json")).returncode == 0
    dump = shop.folder / "nightly.dump"
    dump.write_text("a backup")
    assert shop.pgtv("snapshot", "save", "nightly.dump").returncode == 3
    assert dump.read_text() == "a backup"
    for _ in range(2):  # beside the backup of each night, whatever the last one's had
        assert shop.pgtv("snapshot", "save", "--beside", "nightly.dump").returncode == 0


def test_errors_are_told(shop: Database, tmp_path: Path) -> None:
    for args in (
        ["show", str(tmp_path / "none.json")],
        ["diff", str(tmp_path)],
        ["save", str(tmp_path / "no" / "such" / "file.json")],
        ["save", "-d", "no_such_database", str(tmp_path / "x.json")],
    ):
        done = shop.pgtv("snapshot", *args)
        assert done.returncode == 3, args
        assert done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "x.json").exists()


def test_status_lines(shop: Database) -> None:
    done = shop.pgtv("status")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" ok ") >= 9
    shop.sql(
        "ALTER TABLE public.tb_customer DISABLE TRIGGER"
        " trg_tview_row_customer_on_public_tb_customer"
    )
    done = shop.pgtv("status", "--format", "json")
    assert done.returncode == 2
    lines = {x["entity"]: x for x in json.loads(done.stdout)["tviews"]}
    assert lines["customer"]["state"] == "stale"
    assert lines["customer"]["triggers"] == {"present": 3, "expected": 3, "disabled": 1}
    assert lines["order"]["state"] == "stale"  # embeds it
    assert lines["category"]["state"] == "ok"
    assert lines["stock"]["triggers"]["expected"] == lines["stock"]["triggers"]["present"] == 12
    assert "unlogged" in lines["search"]["flags"]
    assert lines["customer"]["rows_estimate"] == 200
    assert lines["customer"]["bytes_estimate"] > 0
    first = shop.pgtv("status").stdout.splitlines()[3]
    assert " stale " in first  # the worst come first


def test_status_selects_and_replays(shop: Database, tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    shop.pgtv("snapshot", "save", str(file))
    live = shop.pgtv("status", "+tv_order", "--format", "json")
    names = [x["entity"] for x in json.loads(live.stdout)["tviews"]]
    assert sorted(names) == ["customer", "order"]
    replayed = shop.pgtv("status", "+tv_order", "--from", str(file), "--format", "json")
    assert json.loads(replayed.stdout)["tviews"] == json.loads(live.stdout)["tviews"]
    assert shop.pgtv("status", "tv_custmer").returncode == 3


def test_status_fits(shop: Database) -> None:
    shop.sql("DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON public.tb_customer")
    for columns in ("80", "200"):
        lines = shop.pgtv("status", COLUMNS=columns).stdout.splitlines()
        assert max(len(line) for line in lines[2:]) <= int(columns)
    assert any("trigger-missing" in line for line in lines)


def test_status_shows_who_waits(shop: Database) -> None:
    with (
        shop.connect(autocommit=False) as holder,
        shop.connect() as waiter,
        shop.connect() as watch,
    ):
        holder.execute("LOCK TABLE public.tv_customer IN ACCESS EXCLUSIVE MODE")
        pid = waiter.info.backend_pid
        waiter.pgconn.send_query(b"SELECT count(*) FROM public.tv_customer")
        waiting = "SELECT count(*) FROM pg_locks WHERE pid = %s AND NOT granted"
        while watch.execute(waiting, [pid]).fetchone() != (1,):
            pass
        done = shop.pgtv("status", "tv_customer", "--format", "json")
        holder.rollback()
        while waiter.pgconn.get_result() is not None:
            pass
    (line,) = json.loads(done.stdout)["tviews"]
    assert line["waits"] == 1
