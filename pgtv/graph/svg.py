"""The graph as a picture: an SVG that stands alone, light and dark, no script, no font to load."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from pgtv.graph.layout import layout

if TYPE_CHECKING:
    from pgtv.graph.dag import Graph

ROW, GAP, BOX, MARGIN, TOP = 54, 88, 38, 28, 84
_KINDS = {
    "tview": "TVIEW", "table": "table", "partition": "partition", "view": "view",
    "matview": "materialized view", "foreign table": "foreign table", "function": "function",
}  # fmt: skip
_STYLE = """
svg { --ink: #1b2733; --soft: #5d6b79; --paper: #ffffff; --line: #9aa7b4; --table: #eef2f6;
  --tview: #1f6feb; --ontview: #ffffff; --view: #fff4d6; --matview: #ffe3d1; --function: #efe6fb;
  --embeds: #1f6feb; --maps: #8250df; --cycle: #cf222e; }
@media (prefers-color-scheme: dark) { svg { --ink: #e6edf3; --soft: #9aa7b4; --paper: #0d1117;
  --line: #5d6b79; --table: #1c2530; --tview: #2f81f7; --view: #3a3113; --matview: #432716;
  --function: #2d2340; --embeds: #58a6ff; --maps: #b083f0; --cycle: #ff7b72; } }
.paper { fill: var(--paper); } text { fill: var(--ink); font: 13px/1.2 ui-sans-serif, system-ui,
  "Segoe UI", "DejaVu Sans", sans-serif; } .title { font-size: 17px; font-weight: 600; }
.soft { fill: var(--soft); font-size: 11px; } .node rect { stroke: var(--line); stroke-width: 1; }
.table rect, .partition rect { fill: var(--table); } .view rect { fill: var(--view); }
.matview rect, .foreign rect { fill: var(--matview); } .function rect { fill: var(--function); }
.view rect, .matview rect, .partition rect { stroke-dasharray: 5 3; }
.tview rect { fill: var(--tview); stroke: none; } .tview text { fill: var(--ontview); }
.tview .soft { fill: var(--ontview); opacity: .8; } .edge { fill: none; stroke: var(--line);
  stroke-width: 1.4; } .embeds { stroke: var(--embeds); stroke-width: 2; }
.maps { stroke: var(--maps); stroke-dasharray: 6 3; } .cycle { stroke: var(--cycle);
  stroke-width: 2.6; stroke-dasharray: none; } .node.ring rect { stroke: var(--cycle); stroke-width: 2.6; }
"""


def render(
    graph: Graph, title: str, cyclic: frozenset[tuple[int | str, int | str]] = frozenset()
) -> str:
    """The picture. `cyclic`: (read, reader) edges to draw as parts of a cycle."""
    nodes = sorted(graph, key=lambda n: (graph.nodes[n]["kind"] == "tview", graph.nodes[n]["name"]))
    placed = layout(nodes, [(a, b) for a, b in graph.edges])
    widths = {n: _width(graph.nodes[n]) for n in nodes}
    columns = [0.0] * max(1, placed.layers)
    for node, (x, _) in placed.place.items():
        columns[x] = max(columns[x], widths[node])
    widths = {node: columns[x] for node, (x, _) in placed.place.items()}
    lefts = [MARGIN + sum(columns[:i]) + GAP * i for i in range(len(columns))]
    deepest = max(
        [
            0.0,
            *(y for _, y in placed.place.values()),
            *(y for route in placed.routes.values() for _, y in route),
        ]
    )
    width = max(lefts[-1] + columns[-1] + MARGIN, 10 + MARGIN + 8 * len(title), 640)
    height = TOP + deepest * ROW + BOX + MARGIN + (GAP / 2 if placed.backward else 0)

    def at(layer: int, y: float) -> tuple[float, float]:
        return lefts[layer], TOP + y * ROW

    body = [
        _legend(graph, bool(cyclic)),
        f'<text class="title" x="{MARGIN}" y="34">{escape(title)}</text>',
    ]
    for edge in sorted(graph.edges, key=str):
        a, b = edge
        kind = "cycle" if edge in cyclic else graph.edges[edge]["kind"]
        if a == b:
            left, top = at(*placed.place[a])
            right, middle = left + widths[a], top + BOX / 2
            d = f"M{right:.1f} {middle - 8:.1f} c34 -22 34 38 0 16"
        elif edge in placed.backward:
            (xa, ya), (xb, yb) = at(*placed.place[a]), at(*placed.place[b])
            low = max(ya, yb) + BOX + 26
            d = (
                f"M{xa + widths[a] / 2:.1f} {ya + BOX:.1f} C{xa + widths[a] / 2:.1f} {low:.1f} "
                f"{xb + widths[b] / 2:.1f} {low:.1f} {xb + widths[b] / 2:.1f} {yb + BOX + 5:.1f}"
            )
        else:
            d = _curve([at(*p) for p in placed.routes[edge]], columns, lefts, widths[a])
        body.append(
            f'<path class="edge {kind}" d="{d}" marker-end="url(#{kind})">'
            f"<title>{escape(_edge_text(graph, a, b))}</title></path>"
        )
    in_cycle = {n for e in cyclic for n in e}
    for node in nodes:
        body.append(_box(graph, node, *at(*placed.place[node]), widths[node], node in in_cycle))
    markers = "".join(_marker(k) for k in ("reads", "embeds", "maps", "cycle"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">\n'
        f"<style>{_STYLE}</style>\n<defs>{markers}</defs>\n"
        f'<rect class="paper" width="100%" height="100%"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _width(node: dict[str, object]) -> float:
    """Room for both lines: what a proportional font needs at most."""
    name = sum(2 if ord(c) > 0x2E80 else 1 for c in str(node["name"]))
    return max(96.0, 7.4 * name + 24, 6.1 * len(_below(node)) + 24)


def _below(node: dict[str, object]) -> str:
    rows = node.get("rows")
    if not isinstance(rows, int):
        return _KINDS[str(node["kind"])]
    return f"{_KINDS[str(node['kind'])]} · about {rows:,} row{'' if rows == 1 else 's'}"


def _curve(
    points: list[tuple[float, float]], columns: list[float], lefts: list[float], width: float
) -> str:
    """A smooth line from the right side of the first box through the stand-ins to the last one."""
    middle = BOX / 2
    x, y = points[0][0] + width, points[0][1] + middle
    parts = [f"M{x:.1f} {y:.1f}"]
    for i, (left, top) in enumerate(points[1:], 1):
        last = i == len(points) - 1
        nx, ny = left - (7 if last else 0), top + middle
        bend = (nx - x) / 2
        parts.append(f"C{x + bend:.1f} {y:.1f} {nx - bend:.1f} {ny:.1f} {nx:.1f} {ny:.1f}")
        x, y = nx, ny
        if not last:
            x = left + columns[lefts.index(left)]
            parts.append(f"L{x:.1f} {y:.1f}")
    return " ".join(parts)


def _box(graph: Graph, node: int | str, x: float, y: float, width: float, in_cycle: bool) -> str:
    data = graph.nodes[node]
    kind = str(data["kind"])
    below = _below(data)
    name = escape(str(data["name"]))
    return (
        f'<g class="node {kind.split()[0]}{" ring" if in_cycle else ""}"><title>{name}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BOX}" rx="7"/>'
        f'<text x="{x + 12:.1f}" y="{y + 16:.1f}">{name}</text>'
        f'<text class="soft" x="{x + 12:.1f}" y="{y + 30:.1f}">{escape(below)}</text></g>'
    )


def _edge_text(graph: Graph, a: int | str, b: int | str) -> str:
    data = graph.edges[a, b]
    columns = ", ".join(sorted(data["columns"])[:8])
    more = " …" if len(data["columns"]) > 8 else ""
    return f"{graph.nodes[b]['name']} {data['kind']} {graph.nodes[a]['name']}" + (
        f": {columns}{more}" if columns else ""
    )


def _marker(kind: str) -> str:
    colour = {"reads": "line"}.get(kind, kind)
    return (
        f'<marker id="{kind}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="8" markerHeight="8" '
        'markerUnits="userSpaceOnUse" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" style="fill:var(--{colour})"/></marker>'
    )


def _legend(graph: Graph, cyclic: bool) -> str:
    present = {d["kind"] for _, _, d in graph.edges(data=True)}
    words = [
        (k, t)
        for k, t in (
            ("reads", "is read by"), ("embeds", "is embedded in"), ("maps", "maps to keys of"),
        )
        if k in present
    ]  # fmt: skip
    if cyclic:
        words.append(("cycle", "part of a cycle"))
    x = float(MARGIN)
    parts = []
    for kind, text in words:
        parts.append(
            f'<path class="edge {kind}" d="M{x:.0f} 56h26" marker-end="url(#{kind})"/>'
            f'<text class="soft" x="{x + 34:.0f}" y="60">{text}</text>'
        )
        x += 50 + 6.2 * len(text)
    return "".join(parts)
