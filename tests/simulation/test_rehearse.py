"""Questions to the simulated pair: what moves, who waits, what the answer says, and which questions are refused."""

import json
from dataclasses import replace

import pytest

from reconciler.core.failover.orders.orders import Orders
from reconciler.errors import UsageError
from reconciler.simulation.timed.faults import FaultError
from reconciler.simulation.timed.rehearsal import Rehearsal, document, question, rehearse, render
from reconciler.simulation.timed.stories import PAIR, milliseconds, play, read
from reconciler.simulation.timed.swarm import luck

BARE = replace(PAIR, disks=(), vdevs=(), arbitration=(), channels=PAIR.channels[:1])


def ask(words: str, orders: Orders = PAIR) -> Rehearsal:
    return rehearse(orders, question(words.split()))


@pytest.mark.parametrize(
    ("words", "after", "longest_ms"),
    [
        ("power-loss a", "b", 4_000),
        ("cable-pull interlink", "a", 0),
        ("all-cables", "a", 0),
        ("disks-lost a", "b", 5_000),
        ("switchover", "b", 2_500),
        ("export-hangs a switchover", "b", 8_500),
        ("power-loss-both heal everything", "a", 60_000),
    ],
)
def test_the_first_questions(words: str, after: str, longest_ms: int) -> None:
    answer = ask(words)
    assert not answer.broken
    assert (answer.before, answer.after) == ("a", after)
    assert answer.longest_ms <= min(longest_ms, answer.bound.total_ms)
    assert "Every invariant held." in render(answer)


def test_nobody_serves_and_every_reason_is_said() -> None:
    answer = ask("disable power-loss a")
    assert answer.after == "nobody"
    assert answer.waiting
    assert "b: failover is disabled (orders 2)" in answer.reasons
    assert "a is off" in answer.reasons


def test_what_is_assumed_is_said() -> None:
    answer = ask("power-loss a", BARE)
    assert len(answer.assumed) == 2
    assert "Assumed: the disks" in render(answer)
    assert not ask("power-loss a").assumed


def test_servers_of_shares_are_assumed_where_the_question_names_one() -> None:
    answer = ask("server-fails b nfs power-loss a")
    assert (answer.after, answer.assumed) == ("b", ("servers of shares: nfs, iscsi",))
    assert any("answers clients without nfs" in note.text for note in answer.notes)
    assert ("servers of shares start", 10_000) in answer.bound.parts
    with pytest.raises(FaultError, match="smb is no protocol"):
        ask("server-dies a smb")


def test_a_broken_invariant_is_said() -> None:
    answer = ask("shelf-forgets")
    assert "BROKEN: the reservation is never free" in render(answer)
    assert document(answer)["broken"].startswith("the reservation is never free")


def test_the_document_says_the_same() -> None:
    answer = ask("power-loss a")
    told = json.loads(json.dumps(document(answer)))
    assert told["format"] == "hagit.rehearsal/1"
    assert told["after"] == "b"
    assert told["timeline"][0] == {"at_ms": 0, "who": "event", "text": "power-loss a"}
    assert told["bound_ms"] == sum(part["ms"] for part in told["bound"])


def test_luck_is_the_same_for_the_same_seed() -> None:
    events = question(["power-loss", "a"])
    assert rehearse(PAIR, events, chance=luck(5)) == rehearse(PAIR, events, chance=luck(5))
    assert rehearse(PAIR, events, chance=luck(5)) != rehearse(PAIR, events, chance=luck(6))


def test_a_pair_that_cannot_settle() -> None:
    with pytest.raises(UsageError, match="does not settle"):
        ask("power-loss a", replace(PAIR, enabled=False))


@pytest.mark.parametrize("words", ["unplug", "power-loss", "heal", "cable-pull net9", "clock-jump a soon"])
def test_questions_that_make_no_sense(words: str) -> None:
    if words == "heal":
        assert question(["heal"])[0].heals
        return
    with pytest.raises(FaultError):
        ask(words)


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("at noon power-loss a", "2"), ("boot c 5s", "2"), ("orders speed 9", "2"), ("orders timers.tea_ms 9", "2"),
        ("orders enabled maybe", "2"), ("until 99h", "2"), ("machine weather 3s", "2"), ("expect", "2"), ("abc", "2"),
    ],
)  # fmt: skip
def test_scripts_that_make_no_sense_say_the_line(line: str, where: str) -> None:
    with pytest.raises(UsageError, match="makes no sense") as caught:
        read(f"# a story\n{line}\n")
    assert caught.value.where == where


def test_an_expectation_that_does_not_hold_is_told() -> None:
    story = read("at 5s power-loss a\nuntil 20s\nexpect a serves\nexpect b never claiming\nexpect the moon\n")
    assert [one.partition(":")[0] for one in play(story).failures] == ["a serves", "b never claiming", "the moon"]


@pytest.mark.parametrize(
    ("word", "value"), [("20s", 20_000), ("250ms", 250), ("2m", 120_000), ("7", 7), ("1.5s", 1_500)]
)
def test_times(word: str, value: int) -> None:
    assert milliseconds(word) == value
