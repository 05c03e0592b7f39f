"""Transaction groups: marks, whose marks count, and which copies are older."""

from dataclasses import replace

import pytest

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.machine.events import Heard, NewOrders, PoolsSeen, Presence, ShelfSeen
from reconciler.core.failover.machine.outputs import outputs
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State, initial
from reconciler.core.failover.machine.step import step
from reconciler.core.failover.orders.orders import Orders, Vdev, shelf_digest
from reconciler.core.failover.orders.safety_checks import unsafe
from reconciler.core.failover.reservations.current_copies import Copy, outdated
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import DiskView
from reconciler.core.failover.reservations.transaction_groups import joined, mark, speaks_of_another, txg_of
from reconciler.simulation.timed.stories import PAIR

GUID, OTHER = 0xFEDC_BA98_7654_3210, 0x0123_4567_89AB_CDEF
ORDERS = replace(PAIR, vdevs=(Vdev("tank/mirror-0", (0, 1), 1), Vdev("zoo/mirror-0", (2, 3), 1)))
RECORD = len(ORDERS.channels)


def heard(state: State, beat: Beat, channel: int = RECORD) -> State:
    return step(state, Heard(channel, beat), state.now_ms + 1)


def owner(*txgs: int, epoch: int = 5, counter: int = 1, phase: Phase = Phase.ACTIVE, orders: Orders = ORDERS) -> Beat:
    return Beat(Side.B, 7, counter, 0, phase, epoch=epoch, txgs=txgs, shelf=shelf_digest(orders))


def test_a_mark_speaks_of_one_pool() -> None:
    word = mark(GUID, 1234)
    assert txg_of(word, GUID) == 1234 and not speaks_of_another(word, GUID)
    assert txg_of(word, OTHER) == 0 and speaks_of_another(word, OTHER)
    assert not speaks_of_another(0, GUID) and txg_of(0, GUID) == 0


@pytest.mark.parametrize(("guid", "txg"), [(0, 5), (GUID, 0), (GUID, -1), (GUID, 1 << 40), (GUID, 1 << 63)])
def test_what_no_pool_reaches_is_not_said(guid: int, txg: int) -> None:
    assert mark(guid, txg) == 0


def test_every_mark_fits_a_heartbeat() -> None:
    assert 0 < mark((1 << 64) - 1, (1 << 40) - 1) < 1 << 64


def test_of_two_words_the_higher_counts_and_of_two_pools_the_newer_owner() -> None:
    old, new, other = mark(GUID, 5), mark(GUID, 9), mark(OTHER, 2)
    assert joined((old, 0), (new, other), newer=False) == (new, other)
    assert joined((new,), (old,), newer=True) == (new,), "a pool does not go back"
    assert joined((new,), (other,), newer=True) == (other,)
    assert joined((new,), (other,), newer=False) == (new,)
    assert joined((new,), (0, old), newer=True) == (new, old)
    assert joined((), (), newer=True) == ()


def test_the_record_of_a_dead_owner_is_its_last_word_and_no_sign_of_life() -> None:
    state = heard(initial(ORDERS, 1, 0), owner(mark(GUID, 40), mark(OTHER, 7)))
    assert state.word == (mark(GUID, 40), mark(OTHER, 7))
    assert state.peer.beat is None and not state.peer.lately
    # What it wrote before, on a disk that is behind, takes nothing back.
    state = heard(state, owner(mark(GUID, 30), mark(OTHER, 6), counter=2))
    assert state.word == (mark(GUID, 40), mark(OTHER, 7))


def test_only_an_owner_of_the_same_shelf_has_a_word() -> None:
    said = (mark(GUID, 40), 0)
    assert heard(initial(ORDERS, 1, 0), owner(*said, phase=Phase.STANDBY)).word == ()
    assert heard(initial(ORDERS, 1, 0), owner(*said, orders=PAIR)).word == ()
    assert heard(initial(ORDERS, 1, 0), owner()).word == ()
    assert heard(initial(ORDERS, 1, 0), owner(*said, phase=Phase.IMPORTING)).word == said


def test_of_a_pool_that_was_made_anew_the_newer_owner_knows() -> None:
    state = heard(initial(ORDERS, 1, 0), owner(mark(GUID, 40), epoch=5))
    assert heard(state, owner(mark(OTHER, 2), epoch=4, counter=2)).word == (mark(GUID, 40),)
    assert heard(state, owner(mark(OTHER, 2), epoch=6, counter=2)).word == (mark(OTHER, 2),)


def active(word: tuple[int, ...]) -> State:
    return replace(initial(ORDERS, 1, 0), phase=Phase.ACTIVE, epoch=6, word=word, word_epoch=5)


def test_an_active_controller_says_what_it_sees_whatever_was_said_before() -> None:
    """So a wrong number ends with the next takeover that the operator made possible."""
    state = step(active((mark(GUID, 1 << 39), mark(OTHER, 3))), PoolsSeen(Presence.ALL, txgs=(mark(GUID, 44), 0)), 1)
    assert state.word == (mark(GUID, 44), mark(OTHER, 3)) and state.word_epoch == 6
    assert outputs(state).beat.txgs == state.word


def test_before_it_is_active_a_look_takes_no_word_back() -> None:
    state = replace(active((mark(GUID, 50),)), phase=Phase.IMPORTING)
    state = step(state, PoolsSeen(Presence.SOME, txgs=(mark(GUID, 44),)), 1)
    assert state.word == (mark(GUID, 50),)
    assert outputs(state).beat.txgs == state.word, "a controller that dies during its import passes the marks on"


def test_a_standby_says_nothing_and_imports_nothing() -> None:
    state = replace(active((mark(GUID, 50),)), phase=Phase.STANDBY)
    assert outputs(state).beat.txgs == () == outputs(state).word


def test_words_follow_their_pools_into_newer_orders() -> None:
    state = active((mark(GUID, 50), mark(OTHER, 3)))
    vdevs = (Vdev("new/mirror-0", (0, 1), 1), Vdev("zoo/mirror-0", (2, 3), 1))
    newer = step(state, NewOrders(replace(ORDERS, generation=2, vdevs=vdevs)), 1)
    assert newer.word == state.word, "the shelf is not in force yet"
    key = Key(ORDERS.side, state.epoch)
    held = (DiskView(True, key, frozenset({key})),) * len(ORDERS.disks)
    assert step(newer, ShelfSeen(held), 2).word == (0, mark(OTHER, 3))


def test_an_older_copy_is_told_with_the_disk_that_is_missing() -> None:
    def copy(guid: int, written: int) -> Copy:
        return Copy(guid, 0, written, 1, ((1,), (2,)))

    word = mark(GUID, 40)
    assert outdated(ORDERS, "tank", GUID, {0: copy(1, 40), 1: copy(2, 39)}, frozenset(), word) == ""
    assert outdated(ORDERS, "tank", GUID, {0: copy(1, 39)}, frozenset(), 0) == ""
    assert outdated(ORDERS, "tank", GUID, {0: copy(1, 3)}, frozenset(), mark(OTHER, 40)) == "", "another pool's"
    line = outdated(ORDERS, "tank", GUID, {0: copy(1, 39), 4: None}, frozenset(), word)
    assert "transaction group 40" in line and "end at 39" in line and "disk1" in line and "disk0" not in line
    assert outdated(ORDERS, "tank", GUID, {0: copy(1, 40), 1: copy(2, 39)}, frozenset({0}), word) != ""


def test_more_pools_than_a_heartbeat_speaks_of_are_refused() -> None:
    disks = tuple(f"d{at}" for at in range(9))
    many = replace(
        PAIR, disks=disks, vdevs=tuple(Vdev(f"p{at}/disk-0", (at,), 1) for at in range(9)), arbitration=(0, 1, 2)
    )
    assert [one.where for one in unsafe(many)] == ["vdevs"]
    assert unsafe(replace(many, vdevs=many.vdevs[:8])) == ()
