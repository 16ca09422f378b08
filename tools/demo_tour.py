"""What tools/demo shows. Run by it, in an environment that has what pgtv needs."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pgtv.catalog.dialects.base import LIBRARY
from pgtv.cli.options import color_wanted
from pgtv.cluster import binaries
from pgtv.cluster.server import Server, new_server

ROOT = Path(__file__).resolve().parent.parent
DOCTOR = ("doctor", "--verify")
ROUNDS = 3

# What happened in the night: the sentence, the SQL, and the checks that have to name it.
FAULTS: list[tuple[str, tuple[str, ...], set[str]]] = [
    (
        "A migration tool dropped a trigger that it did not know; then somebody renamed a customer.",
        (
            "DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON public.tb_customer;",
            "UPDATE public.tb_customer SET name = 'Ada Lovelace' WHERE pk_customer = 1;",
        ),
        {"trigger-missing"},
    ),
    (
        "A bulk load disabled triggers and died before it enabled them again.",
        (
            "ALTER TABLE public.tb_category DISABLE TRIGGER USER;",
            "UPDATE public.tb_category SET name = 'Tea' WHERE pk_category = 3;",
        ),
        {"trigger-disabled"},
    ),
    (
        "A clean-up script deleted a row of a catalog that looked stale.",
        ("DELETE FROM tviews.pg_tview_meta WHERE entity = 'segment';",),
        {"registration-missing"},
    ),
    (
        "A colleague corrected a figure where it was shown, not where it comes from.",
        (
            "BEGIN;",
            "UPDATE public.tv_stock SET data = jsonb_set(data, '{amount}', '999') WHERE pk_stock = 7;",
            "COMMIT;",
        ),
        {"drift"},
    ),
    (
        "A transaction manager crashed between PREPARE and COMMIT.",
        (
            "BEGIN;",
            "UPDATE public.tb_product SET price = 1 WHERE pk_product = 3;",
            "PREPARE TRANSACTION 'bank-42';",
        ),
        {"prepared-unlogged", "prepared-orphan"},
    ),
]


class Tour:
    """The screen: headings in colour on a terminal, commands as somebody would type them."""

    def __init__(self, server: Server, label: str) -> None:
        self.server = server
        self.label = label
        self.env = server.env("shop") | {"PYTHONPATH": str(ROOT), "PGAPPNAME": "demo"}
        self.color = color_wanted()

    def _style(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.color else text

    def say(self, text: str = "") -> None:
        width = min(96, shutil.get_terminal_size((96, 24)).columns)
        print(textwrap.fill(text, width), flush=True)

    def heading(self, text: str) -> None:
        print(
            f"\n{self._style('1;36', '── ' + text + ' ' + '─' * max(0, 72 - len(text)))}\n",
            flush=True,
        )

    def typed(self, statements: Iterable[str]) -> None:
        """Statements as psql would show them."""
        for statement in statements:
            for number, line in enumerate(statement.splitlines()):
                print(self._style("2", f"   shop{'-' if number else '='}# ") + line, flush=True)

    def sql(self, *statements: str) -> None:
        self.typed(statements)
        self.server.psql("\n".join(statements), "shop")

    def pgtv(self, *args: str) -> int:
        """Type a pgtv command; its output goes to the screen as it is."""
        print(self._style("1", f"$ pgtv {' '.join(args)}"), flush=True)
        return self._run(*args).returncode

    def _run(self, *args: str, **kw: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pgtv", *args], env=self.env, check=False, text=True, **kw
        )

    def findings(self) -> list[dict[str, Any]]:
        done = self._run(*DOCTOR, "--format", "json", capture_output=True)
        if done.returncode not in (0, 1, 2, 3) or not done.stdout:
            sys.exit(f"doctor failed: {done.stderr}")
        found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
        return [f for f in found if f["severity"] != "info"]

    def cure(self, finding: dict[str, Any]) -> bool:
        """Run the printed statements in psql, as they stand."""
        statements = finding["remedy"]["sql"]
        print(self._style("1", f"{finding['check']}  {finding['object']}"), flush=True)
        self.typed(statements)
        done = subprocess.run(
            [str(self.server.binaries / "bin" / "psql"), "-X", "-q", "-o", "/dev/null",
             "-v", "ON_ERROR_STOP=1", "-f", "-"],
            env=self.env, input="\n".join(statements), text=True, capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            print(textwrap.indent(done.stderr.strip(), "   "), flush=True)
        print(
            self._style("32", "   ok\n") if not done.returncode else "   again later\n", flush=True
        )
        return done.returncode == 0


def faults(tour: Tour) -> None:
    tour.heading("Five things happen in the night")
    for number, (story, sql, _) in enumerate(FAULTS, 1):
        tour.say(f"{number}. {story}")
        tour.sql(*sql)
        print()


def second_opinion(tour: Tour) -> None:
    """What the extension's own health check makes of it."""
    tour.heading("The extension's own health check")
    query = "SELECT status, component, left(message, 66) AS message FROM tviews.pg_tviews_health_check();"
    tour.typed([query])
    print(tour.server.program("psql", "-X", "-c", query, env=tour.env).rstrip(), flush=True)


def diagnosis(tour: Tour) -> None:
    tour.heading("Doctor names them, what they affect, and what cures them")
    tour.pgtv(*DOCTOR)
    named = {f["check"] for f in tour.findings()}
    for story, _, checks in FAULTS:
        if not checks & named:
            sys.exit(f"doctor did not name this: {story}")


def cures(tour: Tour) -> None:
    """Prepared transactions first: they hold locks that every other cure would wait for. Rows last: what
    made them wrong comes first, and its cure brings most of them along."""
    tour.heading("The printed cures, in psql, as printed")
    for number in range(ROUNDS):
        found = [f for f in tour.findings() if (f.get("remedy") or {}).get("sql")]
        causes = [f for f in found if f["check"] != "drift"] or found
        if not causes:
            return
        if number:
            tour.say(f"Doctor again; still there: {', '.join(f['id'] for f in causes)}")
            print()
        for finding in sorted(causes, key=lambda f: not f["check"].startswith("prepared")):
            tour.cure(finding)


def graph(tour: Tour, picture: Path) -> None:
    tour.heading("Who reads whom")
    tour.pgtv("graph", "show")
    done = tour._run("graph", "show", "--format", "svg", "-o", str(picture), capture_output=True)
    if done.returncode == 0:
        print(f"\nThe same as a picture: {picture}", flush=True)


def tour_of(server: Server, label: str, started: float) -> bool:
    tour = Tour(server, label)
    server.create_database("shop")
    lab = (ROOT / "sql" / "lab" / "install.sql").read_text()
    server.psql(f"CREATE EXTENSION {LIBRARY}" if label != "lab" else lab, "shop")
    server.psql((ROOT / "sql" / "demo" / "shop.sql").read_text(), "shop")
    tour.heading("A shop")
    what = (
        "the lab, a stand-in for the extension that needs no compiler"
        if label == "lab"
        else f"the real extension, {label}"
    )
    tour.say(
        f"A throwaway PostgreSQL {server.major} on a private socket, with {what}: 9 TVIEWs over 6 tables,"
        f" one of them partitioned, started in {time.monotonic() - started:.1f} s."
    )
    print()
    tour.pgtv("status")
    print()
    if tour.pgtv(*DOCTOR) != 0:
        sys.exit("The shop is not healthy before anything happened: please report this.")
    faults(tour)
    if label != "lab":
        second_opinion(tour)
    diagnosis(tour)
    cures(tour)
    tour.heading("Healthy again")
    code = tour.pgtv(*DOCTOR)
    picture = binaries.cache() / "demo" / "shop.svg"
    picture.parent.mkdir(parents=True, exist_ok=True)
    graph(tour, picture)
    return code == 0


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    real = None if "--lab" in sys.argv[1:] else binaries.real(18)
    folder = real or binaries.plain()
    if folder is None:
        sys.exit("there is no PostgreSQL to run: tools/install-servers 18")
    with new_server(folder, [LIBRARY] if real else []) as server:
        healthy = tour_of(server, binaries.RELEASE if real else "lab", started)
        root = server.root
    gone = "" if not root.exists() else f", except {root}"
    print(
        f"\nThe server is stopped and its files are removed{gone}. {time.monotonic() - started:.0f} s."
    )
    if not healthy:
        print("Not everything was cured: please report this.", file=sys.stderr)
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
