"""Repair of reservations: rule by rule, and every order of its commands and those of a claim of the peer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import pytest

from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.reservations import claim
from reconciler.core.failover.reservations.claim import Answer, Claim, Command, Reply, Verb
from reconciler.core.failover.reservations.key import Key, Side, encode_key, epoch_of, is_over
from reconciler.core.failover.reservations.repair import (
    LeftAlone,
    Repair,
    RepairProgress,
    RepairRefused,
    advance,
    begin,
    next_command,
    plan_repairs,
)
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView
from reconciler.simulation.exhaustive.twins import SharedDisk, answer
from tests.system.shelf.rig import orders

ME, OLD, PEER = Key(Side.A, 7), Key(Side.A, 3), Key(Side.B, 6)
NEWER, FOREIGN = Key(Side.B, 8), Key(None, 0xABC)
MINE = DiskView(True, ME, frozenset({ME}))
THEIRS = DiskView(True, PEER, frozenset({PEER}))


def active(last: DiskView, *named: int) -> tuple[Repair | LeftAlone, ...]:
    found = plan_repairs(orders(Side.A), "active", Presence.ALL, (MINE, MINE, MINE, last), frozenset(named))
    assert not isinstance(found, RepairRefused)
    return found


def standby(last: DiskView, phase: str = "standby") -> tuple[Repair | LeftAlone, ...]:
    found = plan_repairs(orders(Side.A), phase, Presence.NONE, (THEIRS, THEIRS, THEIRS, last), frozenset())
    assert not isinstance(found, RepairRefused)
    return found


def test_nothing_to_repair() -> None:
    assert active(MINE) == ()
    assert standby(THEIRS) == ()
    assert standby(DiskView(True)) == ()


@pytest.mark.parametrize(
    ("view", "commands"),
    [
        (DiskView(True), [(Verb.REGISTER, None), (Verb.RESERVE, None)]),
        (DiskView(True, OLD, frozenset({OLD})), [(Verb.REGISTER, None), (Verb.PREEMPT, OLD)]),
        (DiskView(True, PEER, frozenset({PEER})), [(Verb.REGISTER, None), (Verb.PREEMPT, PEER)]),
        (DiskView(True, ME, frozenset({ME, PEER})), [(Verb.PREEMPT, PEER)]),
        (DiskView(True, ME, frozenset({ME, PEER, OLD})), [(Verb.PREEMPT, OLD), (Verb.PREEMPT, PEER)]),
    ],
)
def test_the_active_controller_completes_its_claim(view: DiskView, commands: list[tuple[Verb, Key | None]]) -> None:
    (repair,) = active(view)
    assert isinstance(repair, Repair)
    assert repair.commands == tuple(Command(verb, 3, ME, victim) for verb, victim in commands)
    assert repair.view == view
    assert (repair.undo is None) == (view.holder == ME), "what it did not hold before it leaves when another has it"


@pytest.mark.parametrize(
    ("view", "why"),
    [
        (UNANSWERED, "does not answer"),
        (DiskView(True, ME, frozenset({ME, FOREIGN})), "0xabc is registered: --foreign 0xabc removes it"),
        (DiskView(True, ME, frozenset({ME, NEWER})), "two's claim 8 is registered: it claims now"),
        (DiskView(True, ME, frozenset({ME}), 1), "type 1"),
        (DiskView(True, FOREIGN, frozenset({FOREIGN})), "held by a foreign key 0xabc: --foreign 0xabc takes the disk"),
    ],
)
def test_what_the_active_controller_leaves(view: DiskView, why: str) -> None:
    (left,) = active(view)
    assert isinstance(left, LeftAlone)
    assert why in left.why


def test_a_foreign_key_goes_when_a_person_names_it() -> None:
    first, second = active(DiskView(True, ME, frozenset({ME, FOREIGN, Key(None, 0xDEF)})), 0xDEF)
    assert isinstance(first, Repair)
    assert first.commands == (Command(Verb.PREEMPT, 3, ME, Key(None, 0xDEF)),)
    assert isinstance(second, LeftAlone)


def test_a_disk_of_a_foreign_key_is_taken_when_a_person_names_it() -> None:
    (repair,) = active(DiskView(True, FOREIGN, frozenset({FOREIGN})), 0xABC)
    assert isinstance(repair, Repair)
    assert repair.commands == (Command(Verb.REGISTER, 3, ME), Command(Verb.PREEMPT, 3, ME, FOREIGN))
    assert repair.undo == Command(Verb.UNREGISTER, 3, ME)


def test_a_disk_that_only_pending_orders_name_is_no_loss() -> None:
    theirs = DiskView(True, NEWER, frozenset({NEWER}))
    views = (MINE, MINE, MINE, theirs)
    found = plan_repairs(orders(Side.A), "active", Presence.ALL, views, frozenset(), frozenset({3}))
    assert not isinstance(found, RepairRefused)
    (left,) = found
    assert isinstance(left, LeftAlone)
    assert "which is newer than ours" in left.why


@pytest.mark.parametrize("phase", ["standby", ""])
def test_a_standby_gives_up_its_own_registration(phase: str) -> None:
    (repair,) = standby(DiskView(True, PEER, frozenset({PEER, OLD})), phase)
    assert isinstance(repair, Repair)
    assert repair.commands == (Command(Verb.UNREGISTER, 3, OLD),)


@pytest.mark.parametrize(
    ("view", "why"),
    [
        (DiskView(True, OLD, frozenset({OLD})), "one's claim 3 still holds it: the next claim takes it over"),
        (DiskView(True, PEER, frozenset({PEER, FOREIGN})), "only the active controller can remove it"),
        (DiskView(True, PEER, frozenset({PEER, NEWER})), "only the active controller can remove it"),
        (UNANSWERED, "does not answer"),
    ],
)
def test_a_standby_takes_no_disk_and_leaves_none_to_nobody(view: DiskView, why: str) -> None:
    (left,) = standby(view)
    assert isinstance(left, LeftAlone)
    assert why in left.why


@pytest.mark.parametrize("phase", ["booting", "claiming", "importing", "releasing", "halted"])
def test_no_repair_while_the_watchdog_is_at_work(phase: str) -> None:
    assert isinstance(plan_repairs(orders(Side.A), phase, Presence.NONE, (MINE,) * 4, frozenset()), RepairRefused)


@pytest.mark.parametrize("pools", [pools for pools in Presence if pools is not Presence.NONE])
def test_no_repair_while_pools_may_be_imported_without_an_active_watchdog(pools: Presence) -> None:
    for phase in ("", "standby"):
        assert isinstance(plan_repairs(orders(Side.A), phase, pools, (THEIRS,) * 4, frozenset()), RepairRefused)


@pytest.mark.parametrize(
    "views",
    [
        (THEIRS, THEIRS, MINE, MINE),
        (UNANSWERED,) * 4,
        (DiskView(True),) * 4,
        (MINE, MINE, MINE, DiskView(True, NEWER, frozenset({NEWER}))),
    ],
)
def test_no_repair_by_an_active_controller_that_does_not_own_the_disks(views: tuple[DiskView, ...]) -> None:
    assert isinstance(plan_repairs(orders(Side.A), "active", Presence.ALL, views, frozenset()), RepairRefused)


def test_keys_of_another_pair_are_foreign_to_the_whole_repair() -> None:
    """The look before the first command reads the raw key, and the plan saw it as a foreign one."""
    other = Key(Side.B, epoch_of(9, "another pair", 1))
    raw = DiskView(True, ME, frozenset({ME, other}))
    (repair,) = active(raw, encode_key(other))
    assert isinstance(repair, Repair)
    progress = advance(begin(orders(Side.A), repair), Reply(Answer.GOOD, raw))
    assert next_command(progress) == Command(Verb.PREEMPT, 3, ME, Key(None, encode_key(other)))


def test_a_disk_that_has_changed_since_the_plan_is_left_alone() -> None:
    (repair,) = active(DiskView(True))
    assert isinstance(repair, Repair)
    ended = advance(begin(orders(Side.A), repair), Reply(Answer.GOOD, THEIRS))
    assert next_command(ended) is None
    assert ended.problem == "left alone: it has changed since it was looked at"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer.CONFLICT, "preempt: reservation conflict; another controller was faster"),
        (Answer.SILENT, "preempt: the disk does not answer, or refuses it"),
    ],
)
def test_the_first_command_that_fails_is_the_last_change(answer: Answer, problem: str) -> None:
    view = DiskView(True, ME, frozenset({ME, PEER, OLD}))
    (repair,) = active(view)
    assert isinstance(repair, Repair)
    progress = advance(begin(orders(Side.A), repair), Reply(Answer.GOOD, view))
    failed = advance(progress, Reply(answer))
    assert next_command(failed) == Command(Verb.LOOK, 3, ME), "the other key is not removed any more"
    assert failed.problem == problem


#: Keys of the initiators of a disk: this controller, the peer, and a machine that is gone.
HERE, THERE, GONE = 0, 1, 2
NEXT = Key(Side.B, 9)
NAMED = frozenset({encode_key(FOREIGN)})
REPAIRABLE = {
    "free": SharedDisk((None, None, None)),
    "free, our old key": SharedDisk((OLD, None, None)),
    "held by the peer's old claim": SharedDisk((None, PEER, None), THERE),
    "held by a foreign key": SharedDisk((None, None, FOREIGN), GONE),
    "held by us, the peer registered": SharedDisk((ME, PEER, None), HERE),
    "held by us, others registered": SharedDisk((ME, PEER, FOREIGN), HERE),
}


class Race(NamedTuple):
    """This controller repairs one disk while the peer claims all. `lost`: our command whose reply gets lost."""

    progress: RepairProgress
    claim: Claim
    disks: tuple[SharedDisk, ...]
    lost: int = -1
    sent: int = 0


def race(at: int, disk: SharedDisk, lost: int = -1) -> Race:
    disks = tuple(disk if one == at else SharedDisk((ME, None, None), HERE) for one in range(4))
    views = tuple(one.view(HERE, ME) for one in disks)
    (repair,) = plan_repairs(orders(Side.A), "active", Presence.ALL, views, NAMED)
    assert isinstance(repair, Repair)
    return Race(begin(orders(Side.A), repair), claim.begin(orders(Side.B), NEXT), disks, lost)


def ours(now: Race) -> Iterator[Race]:
    command = next_command(now.progress)
    if command is None:
        return
    disk, reply = answer(now.disks[command.disk], HERE, command)
    if now.sent == now.lost:
        reply = Reply(Answer.SILENT)
    disks = (*now.disks[: command.disk], disk, *now.disks[command.disk + 1 :])
    yield now._replace(progress=advance(now.progress, reply), disks=disks, sent=now.sent + 1)


def theirs(now: Race) -> Iterator[Race]:
    for command in claim.commands(now.claim)[:1]:
        disk, reply = answer(now.disks[command.disk], THERE, command)
        disks = (*now.disks[: command.disk], disk, *now.disks[command.disk + 1 :])
        yield now._replace(claim=claim.advance(now.claim, command.disk, reply), disks=disks)


def holder(disk: SharedDisk) -> Key | None:
    return None if disk.holder is None else disk.keys[disk.holder]


def judge_move(before: Race, after: Race) -> None:
    """Invariants of every command of a repair."""
    for old, new in zip(before.disks, after.disks, strict=True):
        assert holder(old) is None or holder(new) is not None, "a disk is left without a holder"
        if new.holder == HERE != old.holder:
            assert holder(old) is None or is_over(holder(old) or ME, ME) or holder(old) == FOREIGN


def judge_end(end: Race) -> None:
    """Invariants once the repair and the claim have ended."""
    for disk in end.disks:
        assert disk.holder is not None, "every disk is held in the end"
        assert disk.holder == HERE or disk.keys[HERE] is None, "we could write to a disk that another holds"


@pytest.mark.parametrize("lost", [-1, 0, 1, 2])
@pytest.mark.parametrize("at", [1, 3], ids=["arbitration disk", "other disk"])
@pytest.mark.parametrize("disk", REPAIRABLE.values(), ids=REPAIRABLE)
def test_every_order_of_a_repair_and_a_claim_of_the_peer(disk: SharedDisk, at: int, lost: int) -> None:
    start = race(at, disk, lost)
    found, left, ends = {start}, [start], 0
    while left:
        now = left.pop()
        by_us, by_them = list(ours(now)), list(theirs(now))
        for after in by_us:
            judge_move(now, after)
        if not by_us and not by_them:
            judge_end(now)
            ends += 1
        fresh = [one for one in (*by_us, *by_them) if one not in found]
        found.update(fresh)
        left += fresh
    assert ends
    assert len(found) > 20, "both take turns"


@pytest.mark.parametrize("disk", REPAIRABLE.values(), ids=REPAIRABLE)
def test_undisturbed_a_repair_makes_the_disk_ours_alone(disk: SharedDisk) -> None:
    now = race(3, disk)
    while (after := next(ours(now), None)) is not None:
        now = after
    assert now.progress.problem == ""
    assert now.disks[3] == SharedDisk((ME, None, None), HERE)


def test_no_plan_preempts_a_newer_or_unnamed_key_or_unregisters_the_holder() -> None:
    """All views of one disk, on the active controller and on the other."""
    known = (ME, OLD, PEER, NEWER, FOREIGN)
    for registered in (frozenset(some) for count in range(6) for some in combinations(known, count)):
        for by in (None, *registered):
            view = DiskView(True, by, registered)
            # The last disk is pending: a newer key on it does not make the controller lose the pair.
            views, pending = (MINE, MINE, MINE, view), frozenset({3})
            planned = plan_repairs(orders(Side.A), "active", Presence.ALL, views, frozenset(), pending)
            assert not isinstance(planned, RepairRefused)
            for found in (*planned, *standby(view)):
                if not isinstance(found, Repair):
                    continue
                victims = {one.victim for one in found.commands if one.verb is Verb.PREEMPT}
                assert not victims & {ME, NEWER, FOREIGN}
                given_up = {one.key for one in found.commands if one.verb is Verb.UNREGISTER}
                assert by not in given_up, "the holder never leaves"
