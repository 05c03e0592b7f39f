"""What the documents draw and name is what the code has."""

import re
from pathlib import Path

import pytest

from reconciler.cli.application import COMMANDS
from reconciler.core.failover.machine.phase import diagram, phase_table
from reconciler.core.planning.plan import Gate
from reconciler.core.spec.kinds import KINDS
from reconciler.simulation.timed.stories import play, read
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


def test_the_page_on_configuration_names_every_kind_and_gate() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    kinds = page[page.index("Kinds: ") :].partition("\n\n")[0]
    gates = page[page.index("A named gate") :].partition("\n\n")[0]
    assert set(KINDS) <= set(re.findall(r"`(\w+)`", kinds))
    assert set(Gate) <= set(re.findall(r"[a-z-]+", gates))


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


@pytest.mark.parametrize("path", DOCUMENTS, ids=title)
def test_every_command_and_target_in_a_document_exists(path: Path) -> None:
    text = path.read_text()
    commands = {name for name, _, _ in COMMANDS}
    named = set(re.findall(r"`hagit ([a-z][a-z-]+)", text))
    assert named <= commands, f"{title(path)} names hagit {sorted(named - commands)}"
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z][a-z-]+)", text))
    assert named <= targets, f"{title(path)} names make {sorted(named - targets)}"


@pytest.mark.parametrize("path", [*DOCUMENTS, ROOT / "Makefile", *ROOT.glob("packaging/*.py")], ids=title)
def test_every_program_that_is_run_as_a_module_exists(path: Path) -> None:
    for name in re.findall(r"\b((?:tests|reconciler)(?:\.[a-z_]+)+)\b(?!\.)", path.read_text()):
        parts = name.split(".")
        places = [ROOT.joinpath(*parts), ROOT.joinpath(*parts[:-1], f"{parts[-1]}.py")]
        assert any(place.exists() for place in places), f"{title(path)} runs {name}"


def test_every_reason_and_variable_in_a_document_exists() -> None:
    sources = [*ROOT.glob("reconciler/**/*.py"), *ROOT.glob("tests/**/*.py"), *ROOT.glob("packaging/*.service")]
    known = set(re.findall(r"[A-Z]+_[A-Z_]+", "\n".join(path.read_text() for path in sources)))
    for path in DOCUMENTS:
        missing = set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", path.read_text())) - known
        assert not missing, f"{title(path)} names {sorted(missing)}"


def test_every_name_of_the_code_in_a_document_exists() -> None:
    sources = [*ROOT.glob("reconciler/**/*.py"), *ROOT.glob("tests/**/*.py")]
    known = set(re.findall(r"\w+", "\n".join(path.read_text() for path in sources)))
    known |= {path.stem for path in ROOT.glob("tests/**/*")}
    for path in DOCUMENTS:
        quoted = re.findall(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\([^`]*)?`", path.read_text())
        names = {name for text in quoted for name in text.split(".") if "_" in name or re.match(r"[A-Z][a-z]", name)}
        assert names <= known, f"{title(path)} names {sorted(names - known)}"


def test_the_examples_of_new_kinds_are_the_code() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    examples = re.findall(r"from\s+`(reconciler/[a-z_/.]+)`:\n\n((?:    .*\n|\n)+)", page, re.IGNORECASE)
    assert len(examples) == 2
    for name, text in examples:
        source = re.sub(r"^ +", "", (ROOT / name).read_text(), flags=re.MULTILINE)
        assert re.sub(r"^ +", "", text.strip("\n"), flags=re.MULTILINE) in source, f"{name} has changed"


def test_the_example_of_a_story_can_be_played() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    lines = page[page.index("### a story") :].partition("\n    ")[2].partition("\n\n")[0]
    telling = play(read(re.sub(r"^ +", "", lines, flags=re.MULTILINE) + "\n"))
    assert not telling.failures


def test_the_example_of_a_mutant_is_one() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    lines = page[page.index("### a mutant") :].partition("\n    Mutant(")[2].partition("\n    ),")[0]
    assert f"Mutant({lines}" in (ROOT / "tests/simulation/mutants_decide.py").read_text()
