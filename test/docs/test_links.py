"""Links between documents lead to a file, and to a heading in it; every page can be reached."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "operations"
FILES = [
    *sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "test").rglob("*.md")),
]  # fmt: skip


def _prose(file: Path) -> str:
    """The text without its fences, where brackets are no links and `#` no heading."""
    text = file.read_text(encoding="utf-8")
    return re.sub(r"^( *)(`{3,}).*?^ *\2 *$", "", text, flags=re.DOTALL | re.MULTILINE)


def _links(file: Path) -> list[tuple[str, str]]:
    """(path, anchor) of each relative link; one of them may be empty."""
    text = re.sub(r"`[^`\n]*`", "", _prose(file))
    found = re.findall(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)", text)
    found += re.findall(r"^\[[^\]]+\]:\s*(\S+)", text, flags=re.MULTILINE)
    return [link.partition("#")[::2] for link in found if not re.match(r"[a-z]+:", link)]


def _anchors(file: Path) -> set[str]:
    """As forges make them: lower case, spaces to dashes, other punctuation gone, doubles counted."""
    anchors: dict[str, int] = {}
    for title in re.findall(r"^#{1,6} +(.*?)(?: +#+)? *$", _prose(file), flags=re.MULTILINE):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        count = anchors.get(anchor, 0)
        anchors[anchor] = count + 1
        if count:
            anchors[f"{anchor}-{count}"] = 1
    return set(anchors)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_links_lead_somewhere(file: Path) -> None:
    for path, anchor in _links(file):
        target = (file.parent / path).resolve() if path else file
        assert target.exists(), f"{file}: {path}"
        assert target.is_relative_to(ROOT), f"{file}: {path} is outside of the repository"
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target), f"{file}: {path}#{anchor}"


def test_every_page_is_reached_from_the_index() -> None:
    seen: set[Path] = set()
    ahead = [DOCS / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen:
            continue
        seen.add(page)
        ahead += [
            target
            for path, _ in _links(page)
            if (target := (page.parent / path).resolve()).suffix == ".md" and target.exists()
        ]
    assert set((ROOT / "docs").rglob("*.md")) <= seen


def test_the_readme_leads_to_the_index() -> None:
    assert ("docs/operations/README.md", "") in _links(ROOT / "README.md")


def test_anchors_are_those_of_headings(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b`: c\n\n## Twice\n\n## Twice\n\n```text\n# no heading\n```\n[x](y.md#z)\n"
    )
    assert _anchors(page) == {"a-b-c", "twice", "twice-1"}
    assert _links(page) == [("y.md", "z")]
