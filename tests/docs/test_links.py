"""Every link in the documents leads somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import markdown

_FILES = markdown.files()


@pytest.mark.parametrize(
    "path", _FILES, ids=lambda path: path.relative_to(markdown.ROOT).as_posix()
)
def test_links_resolve(path: Path) -> None:
    """Files exist, and the headings that links name are in them. Other sites are not asked."""
    broken = [target for target in markdown.links(path) if not _resolves(path, target)]
    assert broken == []


def test_every_page_is_reached() -> None:
    """Each page under docs/ is linked from another document."""
    linked = {_target(path, target) for path in _FILES for target in markdown.links(path)}
    pages = {path for path in _FILES if path.is_relative_to(markdown.ROOT / "docs")}
    assert pages - linked == set()


def test_each_decision_is_in_the_index_by_its_title() -> None:
    """The index says of each page what its first heading says."""
    folder = markdown.ROOT / "docs" / "decisions"
    rows = {
        row[0]: row[1] for table in markdown.tables(folder / "README.md").values() for row in table
    }
    pages = sorted(path for path in folder.glob("0*.md"))
    titles = [page.read_text("utf-8").partition("\n")[0] for page in pages]
    expected = {
        f"[{page.name[:4]}]({page.name})": title for page, title in zip(pages, titles, strict=True)
    }
    assert {link: f"# {link[1:5]}: {title}" for link, title in rows.items()} == expected


def _target(path: Path, target: str) -> Path:
    file, _, _ = target.partition("#")
    return (path.parent / file).resolve() if file else path


def _resolves(path: Path, target: str) -> bool:
    if target.startswith(("https://", "mailto:")):
        return True
    linked, _, anchor = target.partition("#")
    found = _target(path, target)
    if not (found.is_relative_to(markdown.ROOT) and found.exists()):
        return False
    return not anchor or anchor in markdown.anchors(path if not linked else found)
