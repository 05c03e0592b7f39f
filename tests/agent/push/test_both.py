"""A push to an enrolled pair: on both controllers or on none, whatever is cut, and both come to the same commit."""

from __future__ import annotations

import pytest

from tests.agent.push.conftest import Enrolled
from tests.controller import PAIR
from tests.wait import until


def test_a_push_is_on_both_and_both_apply_it(enrolled: Enrolled) -> None:
    a, b = enrolled.a, enrolled.b
    done = a.push()
    assert done.code == 0, (done.err, a.controller.logs(), b.controller.logs())
    head = a.work.git("rev-parse", "HEAD")
    assert f"both controllers have main@{head[:7]} on disk" in done.err
    # One plan for both: which one goes first, what clients notice, and then what is done on each.
    assert f"Plan for the pair at main@{head[:7]}: 2 steps; clients do not notice it." in done.err
    assert done.err.index(" 1  b ") < done.err.index(" 2  a ") < done.err.index("Plan for controller a at")
    assert f"Plan for controller b at main@{head[:7]}" in done.err
    assert a.tip() == b.tip() == head
    for pair in (a, b):
        pair.controller.until_applied(head)
    # The next one goes to the other controller.
    b.work.git("fetch", "-q", str(a.work.path))
    b.work.git("reset", "-q", "--hard", "FETCH_HEAD")
    head = b.work.commit("From the other side", note__yaml="")
    done = b.push()
    assert done.code == 0, done.err
    assert a.tip() == b.tip() == head
    # Nothing of the staging is left.
    assert not list((a.directory / "pair.git/refs/hagit").rglob("?" * 40))


def test_a_peer_that_is_away_gets_the_commit_when_it_is_back(enrolled: Enrolled) -> None:
    a, b = enrolled.a, enrolled.b
    done = a.push()
    assert done.code == 0, done.err
    base = a.tip()
    enrolled.cut()
    head = a.work.commit("While the peer is away", note__yaml="")
    done = a.push()
    assert done.code != 0 and "the peer does not answer" in done.err
    assert a.tip() == b.tip() == base
    done = a.push("HEAD:main", "-o", "alone")
    assert done.code == 0 and "the peer does not have it yet" in done.err
    assert "Unknown: b gives no plan" in done.err and "what changes on b, its role" in done.err.replace("remote:  ", "")
    assert (a.tip(), b.tip()) == (head, base)
    a.controller.until_alert("peer-lacks-commits")
    enrolled.mend()
    enrolled.until_equal(head)
    b.controller.until_applied(head)
    a.controller.until_alert("peer-lacks-commits", "resolved")


def test_a_peer_that_was_killed_follows_what_was_accepted_without_it(enrolled: Enrolled) -> None:
    a, b = enrolled.a, enrolled.b
    done = a.push()
    assert done.code == 0, done.err
    b.controller.agents[-1].kill()
    head = a.work.commit("While the peer is dead", note__yaml="")
    assert a.push("HEAD:main", "-o", "alone").code == 0
    b.controller.start_agent()
    enrolled.until_equal(head)


def test_what_the_peer_refuses_by_its_own_policy_moves_nothing(enrolled: Enrolled) -> None:
    a, b = enrolled.a, enrolled.b
    (b.controller.root / "signers").write_text("")
    done = a.push("HEAD:main", "-o", "alone")
    assert done.code != 0
    assert "the peer refuses it" in done.err and "no signature that is trusted here" in done.err
    assert (a.tip(), b.tip()) == ("", "")


def test_a_cut_after_the_peer_moved_is_made_up_and_the_retry_is_up_to_date(enrolled: Enrolled) -> None:
    """The row of a lost answer: the peer has moved, this controller has not, and the client saw an error."""
    a = enrolled.a
    done = a.push()
    assert done.code == 0, done.err
    head = a.work.commit("Half way", note__yaml="")
    hook = a.directory / "pair.git/hooks/reference-transaction"
    script = hook.read_text().replace("exec ", "", 1)
    hook.write_text(script + "exit 1\n")
    done = a.push()
    assert done.code != 0
    enrolled.until_equal(head)
    a.controller.until_applied(head)
    assert "Everything up-to-date" in a.push().err


def test_two_histories_stay_and_are_shown(enrolled: Enrolled) -> None:
    a, b = enrolled.a, enrolled.b
    done = a.push()
    assert done.code == 0, done.err
    base = a.tip()
    enrolled.cut()
    heads = {}
    for pair in (a, b):
        pair.work.git("fetch", "-q", str(a.work.path), base)
        pair.work.git("reset", "-q", "--hard", base)
        heads[pair.controller.letter] = pair.work.commit(f"From {pair.controller.letter}")
        assert pair.push("HEAD:main", "-o", "alone").code == 0
    enrolled.mend()
    for pair in (a, b):
        alert = pair.controller.until_alert("histories-differ")
        assert heads["a"] in alert["summary"] and heads["b"] in alert["summary"]
    a.work.commit("More")
    done = a.push("HEAD:main", "-o", "alone")
    assert done.code != 0 and "different histories" in done.err
    assert (a.tip(), b.tip()) == (heads["a"], heads["b"])
    shown = a.controller.hagit("sync")
    assert shown.code == 0 and "From a" in shown.out and "Only there" in shown.out, shown
    asked = a.controller.hagit("sync", "--from-peer")
    assert asked.code == 1 and "add --yes" in asked.err and a.tip() == heads["a"]
    done = a.controller.hagit("sync", "--from-peer", "--yes")
    assert done.code == 0, done
    enrolled.until_equal(heads["b"])
    a.controller.until_applied(heads["b"])
    a.controller.until_alert("histories-differ", "resolved")


def test_a_plan_is_judged_by_both_and_kept_by_none(enrolled: Enrolled) -> None:
    a, b = enrolled.a, enrolled.b
    done = a.push()
    assert done.code == 0, done.err
    a.work.commit("Rename", pair__yaml=PAIR.replace("shelf-", "north-"))
    done = a.push("HEAD:refs/plan/rename")
    assert done.code == 0 and "planned only" in done.err and "the peer:" not in done.err
    assert "Plan for the pair at" in done.err and "2 steps" in done.err
    assert "shelf-a → north-a" in done.err and "shelf-b → north-b" in done.err
    assert a.tip() == b.tip() != a.work.git("rev-parse", "HEAD")
    assert not list((b.directory / "pair.git/refs/hagit").rglob("?" * 40))


def test_pushes_to_both_at_once_leave_one_history(enrolled: Enrolled) -> None:
    a, b = enrolled.a, enrolled.b
    done = a.push()
    assert done.code == 0, done.err
    base = a.tip()
    for pair in (a, b):
        pair.work.git("fetch", "-q", str(a.work.path), base)
        pair.work.git("reset", "-q", "--hard", base)
        pair.work.commit(f"From {pair.controller.letter}")
    pushes = [pair.begin_push() for pair in (a, b)]
    said = [push.communicate(timeout=60)[1].decode() for push in pushes]
    winners = [push.returncode == 0 for push in pushes]
    assert winners != [True, True], said
    tips = {pair.work.git("rev-parse", "HEAD") for pair in (a, b)} | {base}
    assert a.tip() in tips
    enrolled.until_equal(a.tip())


@pytest.mark.parametrize("dead", ["a", "b"])
def test_an_agent_killed_between_the_two_phases_leaves_both_as_they_were(enrolled: Enrolled, dead: str) -> None:
    """The objects are on both, the branch of the pusher's side is locked, and nothing has moved."""
    a, b = enrolled.a, enrolled.b
    done = a.push()
    assert done.code == 0, done.err
    base = a.tip()
    head = a.work.commit("In two phases", note__yaml="")
    hook = a.directory / "pair.git/hooks/reference-transaction"
    pause = (
        "chmod 666 /run/push/pair.git/refs/paused 2>/dev/null; touch refs/paused; while [ ! -e /run/go ]; do :; done\n"
    )
    hook.write_text(hook.read_text().replace("PYTHONPATH", f"{pause}PYTHONPATH", 1))
    push = a.begin_push()
    until((a.directory / "pair.git/refs/paused").exists)
    assert b.tip(f"hagit/incoming/{head}") == head
    victim = a if dead == "a" else b
    victim.controller.agents[-1].kill()
    (a.inside / "run/go").touch()
    said = push.communicate(timeout=60)[1].decode()
    assert push.returncode != 0, said
    assert a.tip() == b.tip() == base
    (a.directory / "pair.git/refs/paused").unlink()
    victim.controller.start_agent()
    until(lambda: a.reaches("169.254.10.2") and b.reaches("169.254.10.1"))
    until((a.inside / "run/push.sock").exists)
    # The pusher tries again, and what was left of the first try is in nobody's way.
    until(lambda: a.push().code == 0, lambda: a.pushed[-1].err)
    enrolled.until_equal(head)
