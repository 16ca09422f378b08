"""`lint` of 10,000 generated definitions against the same walk with sqlglot, in one run.

Both get the same file. sqlglot does less with it: it parses, then looks at relations, columns,
functions and clauses by one walk over its tree; no scopes, no rules. Times are CPU seconds of this
process, without garbage collection for either. Prints one JSON line for programs and one line for
people; exits 1 when lint is less than 4 times as fast.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import time

from pgtv.lint.check import lint
from pgtv.lint.source import Source

GOAL = 4.0


def generate(count: int, seed: int = 1) -> str:
    """Tables, and definitions of the shapes that people write."""
    rng = random.Random(seed)
    tables, statements = [], []
    for i in range(count):
        tables.append(
            f"CREATE TABLE tb_e{i} (pk_e{i} bigint PRIMARY KEY, id uuid NOT NULL, fk_e{i // 2} bigint,"
            " name text, status text, amount numeric, at timestamptz);"
        )
        parent = i // 2
        embed = ", 'parent', p.data" if 0 < parent < i else ""
        join = f" JOIN tv_e{parent} p ON p.pk_e{parent} = t.fk_e{parent}" if embed else ""
        shape = rng.randrange(4)
        if shape == 0:
            extra, tail = "", ""
        elif shape == 1:
            extra, tail = "", " WHERE t.status IN ('open', 'paid') AND t.amount > 0"
        elif shape == 2:
            extra = (
                f", 'kids', (SELECT jsonb_agg(k.name ORDER BY k.name) FROM tb_e{i} k"
                f" WHERE k.fk_e{parent} = t.pk_e{i})"
            )
            tail = ""
        else:
            extra, tail = ", 'label', coalesce(upper(t.name), 'none') || t.status", ""
        query = (
            f"SELECT t.pk_e{i}, t.id, t.fk_e{parent}, jsonb_build_object('id', t.id, 'name', t.name,"
            f" 'amount', t.amount{embed}{extra}) AS data FROM tb_e{i} t{join}{tail}"
        )
        statements.append(f"CREATE TABLE tv_e{i} AS {query};")
    return "\n".join(tables) + "\n" + "\n".join(statements)


def with_sqlglot(text: str) -> int:
    """The same questions to sqlglot's tree: what is read, by which columns, functions and clauses."""
    import sqlglot
    from sqlglot import exp

    found = 0
    for tree in sqlglot.parse(text, read="postgres"):
        for node in tree.walk() if tree else ():
            if isinstance(
                node, exp.Table | exp.Column | exp.Func | exp.Join | exp.Where | exp.Limit
            ):
                found += 1
    return found


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--definitions", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=2, help="the best of so many counts")
    given = arguments.parse_args()
    text = generate(given.definitions)
    gc.disable()
    ours, theirs, problems = [], [], []
    for _ in range(given.rounds):
        started = time.process_time()
        problems = lint([Source("generated.sql", text)])
        ours.append(time.process_time() - started)
        started = time.process_time()
        with_sqlglot(text)
        theirs.append(time.process_time() - started)
    lint_s, sqlglot_s = min(ours), min(theirs)
    ratio = sqlglot_s / lint_s
    result = {
        "benchmark": "lint",
        "definitions": given.definitions,
        "lint_s": round(lint_s, 2),
        "sqlglot_s": round(sqlglot_s, 2),
        "ratio": round(ratio, 1),
        "goal": GOAL,
        "problems": len(problems),
    }
    print(json.dumps(result))
    print(
        f"lint: {given.definitions:,} definitions in {lint_s:.2f} s; the same walk with sqlglot "
        f"{sqlglot_s:.2f} s: {ratio:.1f} times as fast (goal {GOAL:.0f})"
    )
    return 0 if ratio >= GOAL and not problems else 1


if __name__ == "__main__":
    sys.exit(main())
