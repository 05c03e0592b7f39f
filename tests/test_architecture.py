"""What the documents draw and name is what the code has."""

import re
from pathlib import Path

import pytest

from reconciler.core.failover.phase import diagram, phase_table
from tests.test_style import RINGS as RULES

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("tests/**/README.md"),
        ROOT / "reconciler/ARCHITECTURE.md",
    ]
)
#: The folders of the repository that a path in backquotes may begin with.
FOLDERS = ("docs", "examples", "packaging", "reconciler", "schema", "tests")
#: Programs and folders that a document calls by the short form of their ring.
RINGS = ("agent", "cli", "core", "demo", "simulation", "system", "watchdog")


def title(path: Path) -> str:
    return str(path.relative_to(ROOT))


def paths_of(text: str) -> set[str]:
    """Every path of the repository that stands in backquotes, with the alternatives of braces written out."""
    found = set()
    for quoted in re.findall(rf"`((?:{'|'.join(FOLDERS + RINGS)})/[a-zA-Z0-9_./,{{}}-]*)`", text):
        braces = re.fullmatch(r"(.*)\{(.*)\}(.*)", quoted)
        found |= {f"{braces[1]}{part}{braces[3]}" for part in braces[2].split(",")} if braces else {quoted}
    return found


def there_is(name: str) -> bool:
    places = [ROOT / name, ROOT / "reconciler" / name]
    return any(place.exists() or place.with_name(place.name + ".py").exists() for place in places)


def test_phases_and_edges_are_those_of_the_core() -> None:
    page = (ROOT / "docs/failover.md").read_text()
    assert phase_table() in page
    assert f"```mermaid\n{diagram()}```" in page


def test_the_table_of_rings_has_every_ring() -> None:
    page = (ROOT / "reconciler/ARCHITECTURE.md").read_text()
    for ring in {ring for ring, _, _ in RULES} - {"reconciler", "reconciler.core"}:
        assert f"`{ring.replace('.', '/')}`" in page, f"the table of rings lacks {ring}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=title)
def test_every_path_in_a_document_exists(path: Path) -> None:
    missing = sorted(name for name in paths_of(path.read_text()) if not there_is(name))
    assert not missing, f"{title(path)} names {missing}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=title)
def test_every_link_in_a_document_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if not re.match(r"[a-z]+:", target):
            file = target.partition("#")[0]
            assert not file or (path.parent / file).exists(), f"{title(path)} links to {target}"
