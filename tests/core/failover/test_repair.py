"""What repair may do, rule by rule."""

from __future__ import annotations

import pytest

from reconciler.core.failover.claim import Command, Verb
from reconciler.core.failover.events import Pools
from reconciler.core.failover.hold import UNANSWERED, DiskView
from reconciler.core.failover.key import Key, Side
from reconciler.core.failover.repair import Deed, Left, Refusal, plan_mending
from tests.system.shelf.rig import orders

ME, OLD, PEER = Key(Side.A, 7), Key(Side.A, 3), Key(Side.B, 6)
NEWER, FOREIGN = Key(Side.B, 8), Key(None, 0xABC)
MINE = DiskView(True, ME, frozenset({ME}))
THEIRS = DiskView(True, PEER, frozenset({PEER}))


def active(last: DiskView, *named: int) -> tuple[Deed | Left, ...]:
    found = plan_mending(orders(Side.A), "active", Pools.ALL, (MINE, MINE, MINE, last), frozenset(named))
    assert not isinstance(found, Refusal)
    return found


def standby(last: DiskView, phase: str = "standby") -> tuple[Deed | Left, ...]:
    found = plan_mending(orders(Side.A), phase, Pools.NONE, (THEIRS, THEIRS, THEIRS, last), frozenset())
    assert not isinstance(found, Refusal)
    return found


def test_nothing_to_mend() -> None:
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
    (deed,) = active(view)
    assert isinstance(deed, Deed)
    assert deed.commands == tuple(Command(verb, 3, ME, victim) for verb, victim in commands)
    assert deed.view == view
    assert (deed.undo is None) == (view.holder == ME), "what it did not hold before it leaves when another has it"


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
    assert isinstance(left, Left)
    assert why in left.why


def test_a_foreign_key_goes_when_a_person_names_it() -> None:
    first, second = active(DiskView(True, ME, frozenset({ME, FOREIGN, Key(None, 0xDEF)})), 0xDEF)
    assert isinstance(first, Deed)
    assert first.commands == (Command(Verb.PREEMPT, 3, ME, Key(None, 0xDEF)),)
    assert isinstance(second, Left)


def test_a_disk_of_a_foreign_key_is_taken_when_a_person_names_it() -> None:
    (deed,) = active(DiskView(True, FOREIGN, frozenset({FOREIGN})), 0xABC)
    assert isinstance(deed, Deed)
    assert deed.commands == (Command(Verb.REGISTER, 3, ME), Command(Verb.PREEMPT, 3, ME, FOREIGN))
    assert deed.undo == Command(Verb.UNREGISTER, 3, ME)


def test_a_disk_that_only_pending_orders_name_is_no_loss() -> None:
    theirs = DiskView(True, NEWER, frozenset({NEWER}))
    views = (MINE, MINE, MINE, theirs)
    found = plan_mending(orders(Side.A), "active", Pools.ALL, views, frozenset(), frozenset({3}))
    assert not isinstance(found, Refusal)
    (left,) = found
    assert isinstance(left, Left)
    assert "which is newer than ours" in left.why


@pytest.mark.parametrize("phase", ["standby", ""])
def test_who_is_not_active_gives_up_its_own(phase: str) -> None:
    (deed,) = standby(DiskView(True, PEER, frozenset({PEER, OLD})), phase)
    assert isinstance(deed, Deed)
    assert deed.commands == (Command(Verb.UNREGISTER, 3, OLD),)


@pytest.mark.parametrize(
    ("view", "why"),
    [
        (DiskView(True, OLD, frozenset({OLD})), "one's claim 3 still holds it: the next claim takes it over"),
        (DiskView(True, PEER, frozenset({PEER, FOREIGN})), "only the active controller can remove it"),
        (DiskView(True, PEER, frozenset({PEER, NEWER})), "only the active controller can remove it"),
        (UNANSWERED, "does not answer"),
    ],
)
def test_who_is_not_active_takes_nothing_and_leaves_nothing_to_nobody(view: DiskView, why: str) -> None:
    (left,) = standby(view)
    assert isinstance(left, Left)
    assert why in left.why


@pytest.mark.parametrize("phase", ["booting", "claiming", "importing", "releasing", "halted"])
def test_nothing_while_the_watchdog_is_at_work(phase: str) -> None:
    assert isinstance(plan_mending(orders(Side.A), phase, Pools.NONE, (MINE,) * 4, frozenset()), Refusal)


@pytest.mark.parametrize("pools", [pools for pools in Pools if pools is not Pools.NONE])
def test_nothing_while_pools_may_be_imported_without_an_active_watchdog(pools: Pools) -> None:
    for phase in ("", "standby"):
        assert isinstance(plan_mending(orders(Side.A), phase, pools, (THEIRS,) * 4, frozenset()), Refusal)


@pytest.mark.parametrize(
    "views",
    [
        (THEIRS, THEIRS, MINE, MINE),
        (UNANSWERED,) * 4,
        (DiskView(True),) * 4,
        (MINE, MINE, MINE, DiskView(True, NEWER, frozenset({NEWER}))),
    ],
)
def test_nothing_by_an_active_controller_that_does_not_own_the_disks(views: tuple[DiskView, ...]) -> None:
    assert isinstance(plan_mending(orders(Side.A), "active", Pools.ALL, views, frozenset()), Refusal)
