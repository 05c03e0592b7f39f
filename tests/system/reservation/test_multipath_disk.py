"""A disk over several paths: registered on all, unit attentions, paths that are lost, features that are missing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.core.failover.reservations.claim import Answer, Command, Verb
from reconciler.core.failover.reservations.key import Key, Side, encode_key
from reconciler.core.failover.reservations.reservation_state import DiskView
from reconciler.simulation import disk as model
from reconciler.system.reservation.multipath_disk import MultipathDisk
from reconciler.system.reservation.registration_state import Features, RegistrationState, Result
from reconciler.system.reservation.scsi_port import ATTENTIONS_MAX, Learnt, ScsiPort
from reconciler.system.reservation.sg_io import ScsiCompletion
from tests.system.reservation.standin import StandInCabinet, StandInDisk, StandInTransport

KEYS = {Side.A: Key(Side.A, 3), Side.B: Key(Side.B, 4)}
A, B = KEYS[Side.A], KEYS[Side.B]


def soon() -> float:
    return time.monotonic() + 30


class Pair:
    """One disk as both controllers have it."""

    def __init__(self, **options: bool) -> None:
        self.standin = StandInDisk(Path("/dev/null"), **options)
        self.told: list[str] = []
        self.learnt = {side: Learnt() for side in Side}
        self.sides = {side: MultipathDisk(lambda side=side: self.ports(side)) for side in Side}

    def ports(self, side: Side) -> tuple[ScsiPort, ...]:
        cabinet = StandInCabinet({"disk": self.standin}, side)
        return cabinet.ports("disk", self.learnt[side], self.told.append)  # type: ignore[return-value]

    def do(self, verb: Verb, side: Side, victim: Key | None = None) -> Answer:
        return self.sides[side].perform(Command(verb, 0, KEYS[side], victim), soon()).answer

    def hold(self, side: Side) -> None:
        assert self.do(Verb.REGISTER, side) is Answer.GOOD
        assert self.do(Verb.RESERVE, side) is Answer.GOOD

    def view(self, side: Side = Side.A) -> DiskView:
        return self.sides[side].perform(Command(Verb.LOOK, 0, KEYS[side]), soon()).view


STEPS = st.lists(
    st.tuples(st.sampled_from(Side), st.sampled_from([Verb.REGISTER, Verb.RESERVE, Verb.PREEMPT, Verb.LOOK])),
    max_size=20,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(STEPS, st.booleans(), st.booleans())
def test_it_answers_as_the_model_of_a_disk_does(steps: list[tuple[Side, Verb]], aborts: bool, descriptor: bool) -> None:
    pair, like = Pair(aborts=aborts, descriptor=descriptor), model.Disk()
    for side, verb in steps:
        command = Command(verb, 0, KEYS[side], KEYS[side.other] if verb is Verb.PREEMPT else None)
        like, expected = model.answer(like, side, command)
        assert pair.sides[side].perform(command, soon()) == expected


def test_every_path_is_registered_and_every_path_loses_it() -> None:
    pair = Pair()
    pair.hold(Side.A)
    assert pair.standin.keys == {"a0": encode_key(A), "a1": encode_key(A)}
    assert pair.standin.persist
    assert pair.do(Verb.REGISTER, Side.B) is Answer.GOOD
    assert pair.do(Verb.PREEMPT, Side.B, A) is Answer.GOOD
    assert set(pair.standin.keys) == {"b0", "b1"}
    assert pair.view() == DiskView(True, B, frozenset({B}))


def test_who_was_fenced_is_told_so_by_the_disk() -> None:
    pair = Pair()
    pair.hold(Side.A)
    pair.do(Verb.REGISTER, Side.B)
    pair.do(Verb.PREEMPT, Side.B, A)
    pair.told.clear()
    pair.view(Side.A)
    pair.view(Side.A)
    assert pair.told == ["a0: unit attention 2a/05, the registration was preempted"]


def test_a_disk_that_does_nothing_says_why_and_is_quoted_once() -> None:
    told: list[str] = []
    stopped = Saying(ScsiCompletion(0x02, sense=bytes([0x72, 2, 4, 2])))
    port = ScsiPort("sda", stopped, Learnt(), told.append)
    for _ in range(3):
        assert port.standing(soon()) is Result.SILENT
    stopped.completions = [ScsiCompletion(0x02, sense=bytes([0x72, 4, 0x44, 0]))]
    assert port.standing(soon()) is Result.SILENT
    assert told == ["sda: not ready 04/02, the disk is not started", "sda: hardware error 44/00"]


def test_unregister_gives_up_every_path() -> None:
    pair = Pair()
    pair.hold(Side.A)
    assert pair.do(Verb.UNREGISTER, Side.A) is Answer.GOOD
    assert (pair.standin.keys, pair.standin.holder) == ({}, None)
    assert pair.do(Verb.UNREGISTER, Side.A) is Answer.CONFLICT


def test_a_lost_path_is_gone_round() -> None:
    pair = Pair()
    pair.standin.lost.add("a0")
    pair.hold(Side.A)
    assert pair.standin.keys == {"a1": encode_key(A)}
    assert pair.standin.holder == "a1"
    pair.standin.lost.add("a1")
    assert not pair.view().answered
    assert pair.do(Verb.REGISTER, Side.A) is Answer.SILENT
    pair.standin.lost.clear()
    assert pair.view().holder == A


def test_a_path_that_came_back_is_registered_by_the_next_claim() -> None:
    pair = Pair()
    pair.standin.lost.add("a0")
    pair.hold(Side.A)
    pair.standin.lost.clear()
    assert not pair.standin.lets_write("a0")
    assert pair.do(Verb.REGISTER, Side.A) is Answer.GOOD
    assert pair.standin.lets_write("a0")


class Doubtful(StandInTransport):
    """Does what it is asked, and loses the answer."""

    def execute(self, cdb: bytes, *, send: bytes = b"", receive: int = 0, timeout_s: float) -> ScsiCompletion:
        super().execute(cdb, send=send, receive=receive, timeout_s=timeout_s)
        return ScsiCompletion(0, transport=3)


def test_a_conflict_that_may_be_the_echo_of_our_own_success_is_not_believed() -> None:
    pair = Pair()
    pair.hold(Side.A)
    assert pair.do(Verb.REGISTER, Side.B) is Answer.GOOD
    ports = (
        ScsiPort("b0", Doubtful(pair.standin, "b0"), Learnt(), print),
        ScsiPort("b1", StandInTransport(pair.standin, "b1"), Learnt(), print),
    )
    reply = MultipathDisk(lambda: ports).perform(Command(Verb.PREEMPT, 0, B, A), soon())
    assert reply.answer is Answer.SILENT
    assert pair.view().holder == B, "it was done"


@pytest.mark.parametrize("code", [(0x2A, 3), (0x2A, 4), (0x2A, 5), (0x29, 0), (0x29, 7)])
def test_attentions_are_consumed_and_the_command_repeated(code: tuple[int, int]) -> None:
    pair = Pair()
    pair.standin.warn({"a0", "a1"}, *code)
    pair.standin.warn({"a0"}, *code)
    pair.hold(Side.A)
    assert pair.view() == DiskView(True, A, frozenset({A}))


def test_attentions_without_end_are_silence() -> None:
    pair = Pair()
    for _ in range(ATTENTIONS_MAX + 1):
        pair.standin.warn({"a0", "a1"}, 0x29, 0)
    assert pair.do(Verb.REGISTER, Side.A) is Answer.SILENT


def test_a_busy_disk_is_asked_again_until_the_time_is_over() -> None:
    pair = Pair()
    pair.standin.busy = 5
    pair.hold(Side.A)
    pair.standin.busy = 1_000_000
    reply = pair.sides[Side.A].perform(Command(Verb.RESERVE, 0, A), time.monotonic() + 0.1)
    assert reply.answer is Answer.SILENT


def test_plain_preempt_takes_the_place_of_one_with_abort_and_is_told_once() -> None:
    pair = Pair(aborts=False)
    pair.hold(Side.A)
    for _ in range(2):
        assert pair.do(Verb.REGISTER, Side.B) is Answer.GOOD
        pair.do(Verb.PREEMPT, Side.B, A)
    assert pair.view().holder == B
    assert [text for text in pair.told if "PREEMPT AND ABORT" in text] == [
        "knows no PREEMPT AND ABORT: plain PREEMPT is used, which aborts nothing that it has begun"
    ]
    actions = [action for _, code, action in pair.standin.log if code == 0x5F]
    assert actions.count(5) == 1, "asked once, then remembered"


def test_a_disk_that_forgets_is_registered_all_the_same_and_told() -> None:
    pair = Pair(aptpl=False)
    pair.hold(Side.A)
    assert set(pair.standin.keys) == {"a0", "a1"}
    assert pair.told == ["forgets its reservation when it loses power: it knows no APTPL"]
    pair.standin.power_cycle()
    assert pair.view() == DiskView(True)


def test_a_disk_that_remembers() -> None:
    pair = Pair()
    pair.hold(Side.A)
    pair.standin.power_cycle()
    assert pair.view() == DiskView(True, A, frozenset({A}))


def test_more_registrations_than_there_was_room_for() -> None:
    pair = Pair()
    pair.standin.keys = {f"x{number}": encode_key(Key(Side.B, number + 1)) for number in range(300)}
    assert pair.view().registered == {Key(Side.B, number + 1) for number in range(300)}
    found = pair.sides[Side.A].registrations(soon())
    assert not isinstance(found, Result)
    assert [one.who for one in found] == [f"iqn.x{number}" for number in range(300)]


class Restless(StandInTransport):
    """Somebody registers between any two commands, `times` times."""

    times = 2

    def execute(self, cdb: bytes, *, send: bytes = b"", receive: int = 0, timeout_s: float) -> ScsiCompletion:
        done = super().execute(cdb, send=send, receive=receive, timeout_s=timeout_s)
        if self.times > 0:
            self.times -= 1
            self.disk.keys["b0"] = self.times + 100
            self.disk.generation += 1
        return done


def test_what_changed_between_two_questions_is_asked_again() -> None:
    disk = StandInDisk(Path("/dev/null"))
    port = ScsiPort("a0", Restless(disk, "a0"), Learnt(), print)
    assert port.standing(soon()) == RegistrationState(2, (100,), None, 5)
    endless = Restless(disk, "a0")
    endless.times = 1_000
    assert ScsiPort("a0", endless, Learnt(), print).standing(soon()) is Result.SILENT


class Saying(StandInTransport):
    """Answers everything alike."""

    def __init__(self, *completions: ScsiCompletion) -> None:
        self.completions = list(completions)

    def execute(self, cdb: bytes, *, send: bytes = b"", receive: int = 0, timeout_s: float) -> ScsiCompletion:
        return self.completions.pop(0) if len(self.completions) > 1 else self.completions[0]


@pytest.mark.parametrize(
    ("completion", "result"),
    [
        (ScsiCompletion(0), Result.GOOD),
        (ScsiCompletion(0x18), Result.CONFLICT),
        (ScsiCompletion(0x18, transport=0x11), Result.CONFLICT),
        (ScsiCompletion(0x40), Result.SILENT),
        (ScsiCompletion(0x02), Result.SILENT),
        (ScsiCompletion(0x02, sense=bytes([0x72, 1, 0x5D, 0])), Result.GOOD),
        (ScsiCompletion(0x02, sense=bytes([0x72, 5, 0x55, 4])), Result.SILENT),
        (ScsiCompletion(0x02, sense=bytes([0x72, 5, 0x24, 0])), Result.UNSUPPORTED),
        (ScsiCompletion(0x02, sense=bytes([0x72, 2, 4, 2])), Result.SILENT),
        (ScsiCompletion(0, transport=1), Result.SILENT),
    ],
)
def test_what_a_completion_means(completion: ScsiCompletion, result: Result) -> None:
    assert ScsiPort("sda", Saying(completion), Learnt(), print).reserve(5, soon()) is result


@pytest.mark.parametrize("data", [b"", b"\0" * 7, b"\0" * 7 + b"\7"])
def test_answers_that_are_no_answers_are_silence(data: bytes) -> None:
    port = ScsiPort("sda", Saying(ScsiCompletion(0, data=data)), Learnt(), print)
    assert port.standing(soon()) is Result.SILENT
    assert port.features(soon()) == Features(None, None, None)


def test_features_are_what_the_disk_says_or_what_it_refused() -> None:
    pair = Pair(aborts=False)
    pair.hold(Side.A)
    before = pair.standin.keys.copy(), pair.standin.holder, pair.standin.generation
    assert pair.sides[Side.A].features(soon()) == Features(True, True, None), "it does not look at what it refuses"
    assert (pair.standin.keys, pair.standin.holder, pair.standin.generation) == before, "nothing is changed by asking"
    asked = sum(opcode == 0x5F for _, opcode, _ in pair.standin.log)
    pair.sides[Side.A].features(soon())
    assert sum(opcode == 0x5F for _, opcode, _ in pair.standin.log) == asked, "a conflict is provoked once"
    pair.do(Verb.PREEMPT, Side.A, B)
    assert pair.sides[Side.A].features(soon()) == Features(True, True, False)
    assert Pair(aptpl=False).sides[Side.A].features(soon()) == Features(False, False, None)


def test_a_disk_without_a_path() -> None:
    disk = MultipathDisk(lambda: ())
    assert disk.standing(soon()) is Result.SILENT
    assert disk.registrations(soon()) is Result.SILENT
    assert disk.features(soon()) == Features()
    assert disk.perform(Command(Verb.RESERVE, 0, A), soon()).answer is Answer.SILENT
    assert disk.paths == ()
