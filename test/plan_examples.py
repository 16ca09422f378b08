"""Plans that the library reads, and plans that it does not: by a test each, offline and asked."""

from __future__ import annotations

import json
from typing import Any

from pgtv.catalog.plans import EMPTY

GOOD: dict[str, Any] = {
    "version": 3,
    "set_operation": False,
    "embeds": [{"entity": "user", "lookups": ["fk_user"], "kind": "nested_object", "path": ["a"]}],
    "direct": [["title", "title"]],
    "tables": [
        {"relid": 1, "table": "public.tb_post", "kind": "local", "columns": ["a"], "attnums": [1]},
        {"relid": 2, "table": "public.tb_tag", "kind": "mapped", "sql": "SELECT 1",
         "fanout": {"lookup_col": "fk_tag", "fields": [["name", "n"], ["b", ["x", "y"]]]}},
    ],
    "paths": [{"source_oid": 1, "source_table": "tb_post", "entity_name": "post",
               "initial_col": "pk_post", "root": True, "initial_attnum": None}],
    "references": [],
}  # fmt: skip

BAD = {
    "no version": {},
    "newer version": {"version": 4},
    "oldest but one": {"version": 0},
    "an array": [],
    "null": None,
    "version as text": {"version": "3"},
    "version true": {"version": True},
    "null tables": {"version": 3, "tables": None},
    "a table without its name": {"version": 1, "tables": [{"relid": 1, "kind": "local"}]},
    "an unknown kind": {"version": 3, "tables": [{"relid": 1, "table": "t", "kind": "fk"}]},
    "mapped without a query": {
        "version": 3,
        "tables": [{"relid": 1, "table": "t", "kind": "mapped"}],
    },
    "relid as text": {"version": 3, "tables": [{"relid": "1", "table": "t", "kind": "local"}]},
    "embeds a number": {"version": 3, "embeds": 3},
    "embed of an unknown kind": {
        "version": 3,
        "embeds": [{"entity": "a", "lookups": [], "kind": "nested"}],
    },
    "a path without its column": {
        "version": 3,
        "paths": [{"source_oid": 1, "source_table": "t", "entity_name": "a"}],
    },
    "a pair of three": {"version": 3, "direct": [["a", "b", "c"]]},
}

READABLE = {
    "the least": json.loads(EMPTY),
    "full": GOOD,
    "unknown members": GOOD | {"later": {"x": 1}},
    "no tables": {"version": 3},
}
