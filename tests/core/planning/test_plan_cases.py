"""Golden cases: a folder each, with what is desired, what is observed, and the plan as people see it.

Adding a folder with `desired.yaml` and `observed.yaml` adds a case; `--rewrite-goldens` writes its `plan.txt`.
"""

import re
from pathlib import Path
from types import MappingProxyType

import pytest
from ruamel.yaml import YAML

from reconciler.core.facts.codec import fact_from_document, observed_from_document
from reconciler.core.facts.state import Desired, DriftMode, DriftPolicy, NicMatch, Origin, facts_by_key
from reconciler.core.planning.plan import Blame
from reconciler.core.planning.planner import blamed, make_plan
from reconciler.core.planning.render import render_plan
from tests.core.planning.worlds import perform

CASES = sorted(path.parent for path in (Path(__file__).parent / "cases").glob("*/desired.yaml"))
REVISION = "main@3f2c1ab77d0e4d5b8a1c9f6e2b3a4c5d6e7f8091"
BLAME = Blame(REVISION.partition("@")[2], "A. Author", "author@example.org", "Jumbo frames on storage")


def read(path):
    return YAML(typ="safe", pure=True).load(path.read_text())


def origin_of(text):
    file, line, resource = re.fullmatch(r"(.+):(\d+) (.+)", text).groups()
    return Origin(file, int(line), 3, resource)


def desired_in(folder) -> Desired:
    document = read(folder / "desired.yaml")
    facts, origins = [], {}
    for item in document["facts"]:
        at = item.pop("at")
        fact = fact_from_document(item)
        facts.append(fact)
        origins[fact.key] = origin_of(at)
    destroy = {}
    for *key, protected in document.get("destroy", ()):
        destroy[tuple(key)] = protected
        at = document.get("destroy_origins", {}).get(key[-1])
        if at is not None:
            origins[tuple(key)] = origin_of(at)
    modes = document.get("drift", {}).get("resources", {})
    return Desired(
        controller=document["controller"],
        facts=facts_by_key(facts),
        matches={name: NicMatch(**match) for name, match in document["matches"].items()},
        match_origins={name: origin_of(at) for name, at in document.get("match_origins", {}).items()},
        origins=MappingProxyType(origins),
        virtual=frozenset(document.get("virtual", ())),
        drift=DriftPolicy(resources={name: DriftMode(mode) for name, mode in modes.items()}),
        destroy=MappingProxyType(destroy),
    )


def observed_in(folder):
    document = read(folder / "observed.yaml")
    owners = []
    for item in document["facts"]:
        owner = item.pop("owner", None)
        if owner is not None:
            owners.append([fact_from_document(item).key, owner])
    return observed_from_document({**document, "owners": owners})


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_the_plan_is_the_one_expected(folder, golden):
    desired, observed = desired_in(folder), observed_in(folder)
    plan = blamed(make_plan(desired, observed, REVISION), lambda origin: BLAME)
    golden(folder / "plan.txt", render_plan(plan, color=False, width=100) + "\n")
    again = make_plan(desired, perform(observed, plan), REVISION)
    assert again.actions == ()


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_lines_fit_and_colours_change_only_colours(folder, width):
    plan = blamed(make_plan(desired_in(folder), observed_in(folder), REVISION), lambda origin: BLAME)
    plain = render_plan(plan, color=False, width=width)
    assert re.sub(r"\x1b\[[0-9;]*m", "", render_plan(plan, color=True, width=width)) == plain
    assert "\x1b" not in plain
    if width >= 80:
        assert [line for line in plain.splitlines()[2:] if len(line) > width] == []
