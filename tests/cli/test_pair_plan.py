"""`hagit plan` and `hagit apply` on an enrolled pair whose source waits for an operator: one plan for both, followed.

The tests share one pair, one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.enrolled_pair import CRITICAL, PLAIN, EnrolledPair, enrolled_pair
from tests.controller import resource
from tests.wait import until

MANUAL = "{{remotes: ['{}'], branch: main, interval: 1s, unsigned: accept, apply: manual}}"


class ManualPair:
    """The pair, and how a revision is committed on it."""

    def __init__(self, pair: EnrolledPair) -> None:
        self.pair = pair
        self.policy = resource("Source", "source", MANUAL.format(pair.a.work.path))

    def commit(self, text: str) -> str:
        """Commit, and wait until both could apply it."""
        commit = self.pair.commit(text + self.policy)
        until(lambda: all(self.pair.state(side).wanted == commit for side in "ab"), self.pair.told)
        return commit


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManualPair]:
    with enrolled_pair(tmp_path_factory.mktemp("pair")) as pair:
        made = ManualPair(pair)
        first = pair.commit(CRITICAL + PLAIN + made.policy)
        pair.start()
        pair.until_both(first)
        yield made


def with_mtu(size: int) -> str:
    return CRITICAL.rstrip() + f"\n  mtu: {size}\n" + PLAIN


def test_one_plan_on_either_controller_and_it_is_followed(manual: ManualPair, tmp_path: Path) -> None:
    pair = manual.pair
    commit = manual.commit(with_mtu(9000))
    shown = {side: pair.of(side).hagit("plan", "--detailed-exitcode") for side in "ab"}
    for done in shown.values():
        assert done.code == 2, done
        assert ": 3 steps, 1 switchover; clients wait at most " in " ".join(done.out.split()), done
    assert shown["a"].out == shown["b"].out
    documents = [pair.of(side).hagit("plan", "-o", "json").json() for side in "ab"]
    assert documents[0]["pair"]["steps"] == documents[1]["pair"]["steps"]
    assert [plan["base"]["controller"] for plan in documents] == ["a", "b"]
    assert [plan["pair"]["peer"]["base"]["controller"] for plan in documents] == ["b", "a"]
    done = pair.b.hagit("apply", "--yes")
    assert done.code == 0, (done, pair.told())
    assert "has applied it" in done.out and done.out.rstrip().endswith("on both.")
    assert pair.applied_order(commit) == [("b", "applied"), ("a", "switchover"), ("a", "applied")]
    again = pair.a.hagit("plan", "--detailed-exitcode")
    assert (again.code, "no changes" in again.out) == (0, True), again


def test_a_saved_plan_holds_for_both_and_is_refused_when_either_has_moved(manual: ManualPair, tmp_path: Path) -> None:
    pair = manual.pair
    commit = manual.commit(CRITICAL + PLAIN.replace("10.1.0.1", "10.1.0.2"))
    saved = str(tmp_path / "saved.plan")
    assert pair.a.hagit("plan", "--out", saved).code == 0
    for side, letter in (("a", "b"), ("b", "a")):
        address = f"10.1.0.1{'1' if side == 'b' else ''}/24"
        pair.of(side).ip(f"address del {address} dev e1")
        for asked in (side, letter):
            done = pair.of(asked).hagit("apply", "--yes", saved)
            assert done.code == 1 and f"{side}: address {address} of e1 is gone" in done.err, done
        pair.of(side).hagit("apply", "--yes", "--here", "--revision", pair.of(side).in_force())
    assert commit not in (pair.a.in_force(), pair.b.in_force())
    assert pair.b.hagit("plan", "--out", saved).code == 0
    done = pair.a.hagit("apply", "--yes", "-o", "json", saved)
    assert done.code == 0, done
    assert done.json()["complete"] and done.json()["controllers"]["b"]["applied"]
    pair.until_both(commit)
    assert "stale" in pair.b.hagit("apply", "--yes", saved).err


def test_a_damaged_plan_of_a_pair_gets_one_message(manual: ManualPair, tmp_path: Path) -> None:
    saved = tmp_path / "saved.plan"
    assert manual.pair.a.hagit("plan", "--out", str(saved)).code == 0
    document = json.loads(saved.read_text())
    for pair in ([], {"format": "hagit.pair-plan/9"}, {**document["pair"], "roles": None}, {"format": 1}):
        saved.write_text(json.dumps({**document, "pair": pair}))
        done = manual.pair.a.hagit("apply", "--yes", str(saved))
        assert done.code == 1 and "Traceback" not in done.err and str(saved) in done.err, done


def test_with_the_peer_away_the_plan_says_what_it_cannot_know(manual: ManualPair) -> None:
    pair = manual.pair
    manual.commit(CRITICAL + PLAIN)
    pair.b.agents[-1].stop()
    done = pair.a.hagit("plan")
    assert done.code == 0, done
    text = " ".join(done.out.split())
    assert "Unknown: b gives no plan: controller b does not answer" in text
    assert "what changes on b, its role, and whether it can take this revision are not known" in text
    document = pair.a.hagit("plan", "-o", "json").json()["pair"]
    assert document["peer"] is None and len(document["unknown"]) == 2
    pair.b.start_agent()
