"""Commits on an enrolled pair: two real agents that follow one plan, with watchdogs of a simulated world.

The tests share one pair, one after the other; each begins with one revision in force on both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from reconciler.agent.store import Store
from reconciler.core.confirmation.pending_change import OPEN_STAGES, ChangeStage, PendingChange
from reconciler.core.status.revision import Revision
from tests.agent.enrolled_pair import CRITICAL, PLAIN, EnrolledPair, enrolled_pair
from tests.controller import Controller, interface
from tests.wait import until


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnrolledPair]:
    with enrolled_pair(tmp_path_factory.mktemp("pair")) as made:
        made.start()
        yield made


def until_calm(pair: EnrolledPair) -> EnrolledPair:
    """Wait until the newest revision is in force on both, one is active and the other ready."""
    pair.until_both(pair.a.work.git("rev-parse", "HEAD").strip())
    until(lambda: {pair.state(side).role for side in "ab"} == {"active", "standby"}, pair.told)
    until(lambda: all(pair.state(side).ready for side in pair.active()), pair.told)
    return pair


@pytest.fixture
def pair(running: EnrolledPair) -> EnrolledPair:
    """The pair with what the last test left in force, active on the side that it left active."""
    return until_calm(running)


@pytest.fixture
def first_network(running: EnrolledPair) -> EnrolledPair:
    """The pair with the first network, which names no MTU, after whatever was rolled back."""
    running.commit(CRITICAL + PLAIN, "Back to the first network")
    return until_calm(running)


def with_mtu(size: int) -> str:
    return CRITICAL.rstrip() + f"\n  mtu: {size}\n" + PLAIN


def test_standby_first_and_in_place_where_clients_do_not_notice(pair: EnrolledPair) -> None:
    commit = pair.commit(CRITICAL + PLAIN.replace("10.1.0.1", "10.1.0.2"))
    pair.until_both(commit)
    active, standby = pair.active() + pair.standby()
    assert pair.applied_order(commit) == [(standby, "applied"), (active, "applied")]


def test_one_switchover_where_clients_would_notice(pair: EnrolledPair) -> None:
    active, standby = pair.active() + pair.standby()
    commit = pair.commit(with_mtu(9000))
    pair.until_both(commit)
    assert pair.applied_order(commit) == [(standby, "applied"), (active, "switchover"), (active, "applied")]
    assert pair.active() == standby
    assert pair.a.mtu("e0") == pair.b.mtu("e0") == 9000


def test_what_is_refused_on_the_standby_stops_the_active_one(pair: EnrolledPair) -> None:
    """A NIC on top of another takes no larger MTU than that one, which no limit of its own says."""
    active, standby = (pair.of(side) for side in pair.active() + pair.standby())
    standby.ip("link add link e1 name top0 type macvlan mode bridge")
    active.ip("link add top0 type veth peer name top0-far")
    commit = pair.commit(CRITICAL + PLAIN + interface("top0", "10.4.0.1/24", mtu=9000))
    until(
        lambda: told(active, f"it failed on {standby.letter}: Interface/top0: the kernel refused to set the MTU"),
        pair.told,
    )
    assert (standby.in_force() == commit, active.in_force() == commit) == (True, False)
    standby.ip("link set e1 mtu 9000")
    pair.until_both(commit)
    order = pair.applied_order(commit)
    assert (order[0], order[-1]) == ((standby.letter, "applied-in-part"), (active.letter, "applied"))
    assert [side for side, _ in order].count(active.letter) == 1
    standby.ip("link set e1 mtu 1500")


def test_a_peer_without_an_agent_is_gone_without_unless_clients_would_notice(pair: EnrolledPair) -> None:
    active, standby = (pair.of(side) for side in pair.active() + pair.standby())
    standby.agents[-1].kill()
    harmless = pair.commit(CRITICAL + PLAIN.replace("10.1.0.1", "10.1.0.3"))
    active.until_applied(harmless)
    loud = pair.commit(with_mtu(8000))
    until(lambda: told(active, "is alive although its agent does not answer"), pair.told)
    assert active.in_force() == harmless
    standby.start_agent()
    pair.until_both(loud)
    assert pair.applied_order(loud) == [
        (standby.letter, "applied"), (active.letter, "switchover"), (active.letter, "applied"),
    ]  # fmt: skip


def test_a_change_that_is_not_confirmed_counts_as_begun(pair: EnrolledPair) -> None:
    """The peer must not follow what may be taken back."""
    standby = pair.of(pair.standby())
    standby.agents[-1].stop()
    store = Store(standby.state)
    revision = Revision("main", standby.in_force())
    change = PendingChange(
        revision=revision, back=None, stage=ChangeStage.PENDING, boot="this", began_s=0.0, timeout_s=60.0
    )
    for stage in ChangeStage:
        store.record_change(replace(change, stage=stage))
        assert (pair.state(standby.letter).begun == revision.commit) == (stage in OPEN_STAGES)
    standby.start_agent()


def test_a_rollback_takes_both_back_standby_first(first_network: EnrolledPair) -> None:
    pair = first_network
    good, mtu = pair.a.in_force(), {side: pair.of(side).mtu("e0") for side in "ab"}
    bad = pair.commit(with_mtu(9000))
    until_calm(pair)
    active, standby = pair.active() + pair.standby()
    asked = pair.of(active).hagit("rollback")
    assert asked.code == 1 and "Plan for the pair" in asked.out and pair.a.in_force() == bad, asked
    before = len(pair.applied_order(good))
    done = pair.of(active).hagit("rollback", "--yes")
    assert done.code == 0 and f"Rolled back to main@{good[:7]} on both" in done.out, (done, pair.told())
    pair.until_both(good)
    assert pair.applied_order(good)[before:] == [(standby, "applied"), (active, "switchover"), (active, "applied")]
    for side in "ab":
        # No revision names this MTU: the rollback restores what the newer one changed in place.
        assert pair.of(side).mtu("e0") == mtu[side]
        words = [entry["what"] for entry in pair.of(side).lines("history.jsonl") if entry["revision"]["commit"] == good]
        assert [word for word in words if word != "confirmed"][-1] == "rolled back"
        assert json.loads((pair.of(side).state / "source.json").read_bytes())["blocked"]["commit"] == bad


def test_a_rollback_without_the_peer_changes_nothing_but_here(first_network: EnrolledPair) -> None:
    pair = first_network
    bad = pair.commit(CRITICAL + PLAIN.replace("10.1.0.1", "10.1.0.7"))
    pair.until_both(bad)
    active, standby = (pair.of(side) for side in pair.active() + pair.standby())
    standby.agents[-1].kill()
    done = active.hagit("rollback", "--yes")
    assert done.code == 1 and "nothing was rolled back" in done.err and not done.out, done
    assert "hagit peer" in done.err and "hagit rollback --here" in done.err
    assert active.in_force() == bad
    done = active.hagit("rollback", "--here", "--yes")
    assert done.code == 0 and active.in_force() != bad, done
    standby.start_agent()


def told(controller: Controller, words: str) -> bool:
    """Whether an alert that a revision waits says so."""
    alerts = (line["alert"] for line in controller.lines("decisions.jsonl") if "alert" in line)
    return any(alert["kind"] == "revision-waits" and words in alert["summary"] for alert in alerts)
