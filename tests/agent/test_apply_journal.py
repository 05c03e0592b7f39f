"""The write-ahead journal: what can be read of it after a crash, torn lines and all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.agent.apply_journal import ApplyJournal, close_interrupted, read_interrupted
from reconciler.agent.executor import mark_interrupted_links
from reconciler.core.facts.change import ActionStage, ActionVerb, Impact
from reconciler.core.facts.fact import Address, Link, LinkKind, Mark
from reconciler.core.planning.plan import Action, Base, Plan
from reconciler.errors import StateError
from reconciler.simulation.fake_network import FakeNetwork, plugged_in

BRIDGE = Link("br0", LinkKind.BRIDGE, stp=False)


def create(stage: ActionStage, fact: Link | Address) -> Action:
    return Action(stage, ActionVerb.CREATE, None, fact, "missing", Impact.NONE)


PLAN = Plan(
    Base("a", "main@" + "1" * 40, "digest"),
    (create(ActionStage.LINK, BRIDGE), create(ActionStage.ADDRESS, Address("br0", "10.0.0.1/24"))),
)


def cut_off(path: Path, started: int, done: int) -> None:
    """The journal of a process that died after this number of lines."""
    with ApplyJournal(path, PLAN) as journal:
        for index in range(started):
            journal.started(index)
            if index < done:
                journal.done(index)


def test_an_apply_that_ended_is_not_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    assert read_interrupted(path) is None
    with ApplyJournal(path, PLAN) as journal:
        journal.started(0)
        journal.ended("complete")
    assert read_interrupted(path) is None


@pytest.mark.parametrize(("started", "done"), [(0, 0), (1, 0), (1, 1), (2, 1), (2, 2)])
def test_how_far_it_came(tmp_path: Path, started: int, done: int) -> None:
    path = tmp_path / "journal"
    cut_off(path, started, done)
    cut = read_interrupted(path)
    assert cut is not None
    assert (cut.started, cut.done, cut.total) == (started, done, 2)
    assert cut.made == (BRIDGE, Address("br0", "10.0.0.1/24"))[:started]
    assert cut.revision == PLAN.base.revision
    assert cut.lasting


def test_what_only_a_newer_release_knows_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    cut_off(path, 2, 2)
    lines = path.read_text().splitlines()
    first = json.loads(lines[0])
    first["after"][0]["colour"] = "red"
    for fact in (first["after"][0], {"fact": "tunnel"}, {}):
        first["after"][0] = fact
        path.write_text("\n".join([json.dumps(first), *lines[1:], ""]))
        cut = read_interrupted(path)
        assert cut is not None and cut.made == (Address("br0", "10.0.0.1/24"),)


def test_every_torn_form_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    cut_off(path, 2, 1)
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        cut = read_interrupted(path)
        assert cut is None or cut.started <= 2
        if length > whole.index(b"\n"):
            assert cut is not None
            close_interrupted(path)
            assert read_interrupted(path) is None


def test_a_link_that_was_made_and_not_yet_stamped_becomes_ours(tmp_path: Path) -> None:
    network = FakeNetwork(plugged_in("e0"))
    path = tmp_path / "journal"
    cut_off(path, 1, 0)
    network.by_hand(None, BRIDGE)
    assert mark_interrupted_links(network, path) == f"an apply of {PLAN.base.revision} was cut off after 0 of 2 actions"
    assert network.observe().facts["mark", "br0"] == Mark("br0", "hagit br0")
    assert mark_interrupted_links(network, path) is None


def test_a_link_that_another_program_made_meanwhile_stays_foreign(tmp_path: Path) -> None:
    network = FakeNetwork(plugged_in("e0"))
    path = tmp_path / "journal"
    cut_off(path, 1, 0)
    network.by_hand(None, replace(BRIDGE, stp=True))
    mark_interrupted_links(network, path)
    assert ("mark", "br0") not in network.observe().facts


def test_after_a_reboot_a_link_of_the_same_name_stays_foreign(tmp_path: Path) -> None:
    network = FakeNetwork(plugged_in("e0"))
    path = tmp_path / "journal"
    cut_off(path, 1, 0)
    path.write_text(path.read_text().replace('"boot":"', '"boot":"another '))
    network.by_hand(None, BRIDGE)
    assert mark_interrupted_links(network, path) is not None
    assert ("mark", "br0") not in network.observe().facts
    assert read_interrupted(path) is None


def test_a_full_disk_prevents_the_start(tmp_path: Path) -> None:
    with (
        pytest.raises(StateError, match="cannot write the journal: No space left"),
        ApplyJournal(Path("/dev/full"), PLAN),
    ):
        raise AssertionError("not reached")
