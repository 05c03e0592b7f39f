"""New orders in every phase: which are accepted, which are refused and why, and which knowledge they discard."""

from dataclasses import replace

import pytest

from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.events import Asked, NewOrders, Request
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.machine.step import step
from reconciler.core.failover.orders.acceptance import unacceptable
from reconciler.core.failover.orders.orders import Channel, ChannelKind, Orders, Timers
from reconciler.core.failover.reservations.key import Side
from reconciler.simulation.timed.stories import PAIR
from tests.core.failover.test_step_outputs import standing

#: HALTED hears nothing any more.
PHASES = tuple(phase for phase in Phase if phase is not Phase.HALTED)
IN_FORCE = replace(PAIR, generation=5)
NEWER = replace(IN_FORCE, generation=6, enabled=False)


def given(phase: Phase, orders: Orders) -> State:
    """The state after one step with new orders."""
    return step(replace(standing(phase), orders=IN_FORCE), NewOrders(orders), 1)


@pytest.mark.parametrize("phase", PHASES)
def test_newer_orders_are_taken(phase: Phase) -> None:
    after = given(phase, NEWER)
    assert after.orders == NEWER
    assert after.refused is None


@pytest.mark.parametrize(
    ("orders", "code"),
    [
        (replace(NEWER, generation=4), Code.ORDERS_OLD),
        (replace(NEWER, generation=5), Code.ORDERS_OLD),
        (replace(NEWER, side=Side.B), Code.ORDERS_FOREIGN),
        (replace(NEWER, pair="another"), Code.ORDERS_FOREIGN),
        (replace(NEWER, arbitration=()), Code.ORDERS_UNSAFE),
        (replace(NEWER, arbitration=(0, 2)), Code.ORDERS_UNSAFE),
        (replace(NEWER, channels=NEWER.channels[:1]), Code.ORDERS_UNSAFE),
        (replace(NEWER, timers=Timers(silence_ms=100)), Code.ORDERS_UNSAFE),
    ],
    ids=[
        "older",
        "contradicting",
        "the peer's",
        "another pair's",
        "no arbitration",
        "even",
        "one channel",
        "impatient",
    ],
)
@pytest.mark.parametrize("phase", PHASES)
def test_other_orders_are_refused(phase: Phase, orders: Orders, code: Code) -> None:
    after = given(phase, orders)
    assert after.orders == IN_FORCE
    assert after.refused is not None
    assert after.refused.code is code


def test_the_same_orders_again_are_no_news() -> None:
    assert given(Phase.ACTIVE, IN_FORCE).refused is None


@pytest.mark.parametrize("phase", PHASES)
def test_orders_with_the_same_disks_forget_nothing(phase: Phase) -> None:
    assert given(phase, NEWER).looks.sees


def test_new_channels_have_been_silent_for_no_time_yet() -> None:
    channels = (*IN_FORCE.channels, Channel("net1", ChannelKind.CARP))
    after = given(Phase.STANDBY, replace(NEWER, channels=channels))
    assert after.peer.heard_ms == (1,) * 4
    assert after.peer.last == (None,) * 4


@pytest.mark.parametrize("phase", PHASES)
def test_maintenance_lasts_as_long_as_the_orders_allow_at_the_most(phase: Phase) -> None:
    longest_ms = IN_FORCE.timers.maintenance_ms
    for asked_ms, granted_ms in ((1_000, 1_000), (longest_ms + 1, longest_ms), (10**12, longest_ms), (-5, 0)):
        after = step(standing(phase), Asked(Request.MAINTENANCE, asked_ms), 1)
        assert after.maintenance_ms == 1 + granted_ms


@pytest.mark.parametrize(
    ("orders", "code"),
    [
        (IN_FORCE, None),
        (replace(IN_FORCE, generation=4), Code.ORDERS_OLD),
        (replace(IN_FORCE, side=Side.B), Code.ORDERS_FOREIGN),
        (replace(IN_FORCE, pair="another"), Code.ORDERS_FOREIGN),
        (replace(IN_FORCE, arbitration=(0, 2)), Code.ORDERS_UNSAFE),
    ],
    ids=["as they were", "older", "the peer's", "another pair's", "unsafe"],
)
def test_a_daemon_begins_with_no_orders_that_it_would_not_take_later(orders: Orders, code: Code | None) -> None:
    refused = unacceptable(orders, IN_FORCE.pair, IN_FORCE.side, IN_FORCE.generation)
    assert (refused.code if refused else None) is code
