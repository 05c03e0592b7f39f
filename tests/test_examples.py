"""Each example is a whole repository, and stands with the facts and the plan that are expected of it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.cli.repository_files import configuration_in
from reconciler.core.facts.codec import observed_from_document
from reconciler.core.facts.fact import BondOptions, Fact
from reconciler.core.facts.state import Desired
from reconciler.core.planning.planner import make_plan
from reconciler.core.planning.render import render_plan
from reconciler.core.spec import Configuration, compile_desired, load
from reconciler.core.spec.schema import json_schema
from reconciler.core.spec.tree import documents

ROOT = Path(__file__).parent.parent
FLEET = ROOT / "examples" / "fleet"
#: The folder of each pair: a whole repository, or a folder of the fleet.
EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.is_dir() and path != FLEET)
EXAMPLES += sorted((FLEET / "pairs").iterdir())
REVISION = "main@3f2c1ab0000000000000000000000000000000aa"


def tree_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def configuration_of(folder: Path) -> Configuration:
    if FLEET in folder.parents:
        return configuration_in(FLEET, str(folder.relative_to(FLEET)))
    return load(tree_of(folder))


def fact_lines(desired: Desired) -> Iterator[str]:
    """One fact a line, with the place that asks for it."""
    for key, fact in desired.facts.items():
        origin = desired.origins[key]
        yield f"{fact_words(fact):<72}  {origin.file}:{origin.line}:{origin.column}\n"
    for resource, match in desired.matches.items():
        yield f"match {resource} {match}\n"
    for address in sorted(desired.virtual):
        yield f"virtual {address}\n"


def fact_words(fact: Fact) -> str:
    values = [f"{name}={value_word(getattr(fact, name))}" for name in fact.__slots__ if getattr(fact, name) is not None]
    return " ".join([fact.key[0], *values])


def value_word(value: object) -> str:
    if isinstance(value, BondOptions):
        value = tuple(getattr(value, name) for name in value.__slots__ if getattr(value, name) is not None)
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize("controller", ["a", "b"])
@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_facts(folder: Path, controller: str, golden: Callable[[Path, str], None]) -> None:
    desired = compile_desired(configuration_of(folder), controller)
    golden(folder / f"facts-{controller}.txt", "".join(fact_lines(desired)))


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_plan_for_a_bare_controller(folder: Path, golden: Callable[[Path, str], None]) -> None:
    desired = compile_desired(configuration_of(folder), "a")
    observed = observed_from_document(json.loads((folder / "observed-a.json").read_text()))
    golden(folder / "plan.txt", render_plan(make_plan(desired, observed, REVISION), color=False, width=100))


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_free_of_warnings(folder: Path) -> None:
    assert configuration_of(folder).warnings == ()


def test_editors_find_the_schema() -> None:
    for path in (ROOT / "examples").rglob("*.yaml"):
        line = path.read_text().split("\n", 1)[0]
        prefix = "# yaml-language-server: $schema="
        assert line.startswith(prefix), path
        assert (path.parent / line.removeprefix(prefix)).resolve() == ROOT / "schema" / "hagit.schema.json"


def test_the_check_of_the_fleet_is_what_a_ci_runs(tmp_path: Path) -> None:
    program = tmp_path / "hagit"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m reconciler.cli.entry "$@"\n')
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}

    def check(script: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([script], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)

    good = check(FLEET / "validate.sh")
    assert (good.returncode, good.stdout, good.stderr) == (0, "Valid: 2 pairs.\n", "")
    shutil.copytree(FLEET, tmp_path / "fleet")
    pair = tmp_path / "fleet/pairs/shelf2/pair.yaml"
    pair.write_text(pair.read_text().replace("wwn-0x5000c500a1b2c204", "wwn-0x5000c500a1b2c104"))
    bad = check(tmp_path / "fleet/validate.sh")
    assert bad.returncode == 1 and "pairs/shelf2/pair.yaml:38:54: the pairs in `pairs/shelf1`" in bad.stderr, bad


def test_the_examples_use_every_key() -> None:
    schema = json_schema()
    used: set[str] = set()

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                used.add(key)
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    for path in (*(ROOT / "examples" / "everything").glob("*.yaml"), *FLEET.rglob("*.yaml")):
        for document in documents(path.name, path.read_text()):
            walk(document.value)
    known = {key for definition in schema["definitions"].values() for key in definition.get("properties", {})}
    assert known <= used
