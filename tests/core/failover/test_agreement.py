"""Agreed limits: no controller lives longer without proof, deadman included, than the other waits."""

from dataclasses import replace

import pytest

from reconciler.core.failover.machine.agreed_limits import Agreement, agreement, with_agreement
from reconciler.core.failover.machine.events import Heard, NewOrders
from reconciler.core.failover.machine.outputs import outputs
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State, initial
from reconciler.core.failover.machine.step import step
from reconciler.core.failover.orders.orders import Orders, digest, first_digest, policy_digest
from tests.core.failover.test_step import PAIR, beat, standing


def of(generation: int, **timers: int) -> Orders:
    return replace(PAIR, generation=generation, timers=replace(PAIR.timers, **timers))


def told(state: State, orders: Orders) -> State:
    """The peer's beat carries the digest of these orders."""
    said = beat(counter=20, generation=orders.generation, digest=digest(orders), policy=policy_digest(orders))
    return step(state, Heard(0, said), 2)


LONGER = of(2, proof_ms=6_000, deadman_ms=8_000)
SHORTER = of(2, proof_ms=1_500, deadman_ms=3_000)
OLD = Agreement(PAIR.timers.proof_ms, PAIR.timers.deadman_ms, PAIR.timers.proof_ms + PAIR.timers.deadman_ms)


def test_a_longer_deadman_is_set_when_the_peer_has_the_orders_too() -> None:
    state = step(standing(Phase.ACTIVE), NewOrders(LONGER), 1)
    assert (agreement(state).lives_ms, agreement(state).feeds_ms) == (OLD.lives_ms, OLD.feeds_ms)
    # A peer that waits for this controller by the older orders waits long enough.
    assert agreement(state).lives_ms + agreement(state).feeds_ms <= OLD.waits_ms
    assert agreement(told(state, PAIR)).feeds_ms == OLD.feeds_ms
    assert agreement(told(state, LONGER)) == Agreement(6_000, 8_000, 14_000)


def test_a_shorter_deadman_is_set_at_once_and_the_peer_is_waited_for_by_the_older_orders() -> None:
    state = step(standing(Phase.ACTIVE), NewOrders(SHORTER), 1)
    assert agreement(state) == Agreement(1_500, 3_000, OLD.waits_ms)
    assert agreement(told(state, SHORTER)) == Agreement(1_500, 3_000, 4_500)


def test_a_deadman_is_never_shorter_than_a_healthy_controller_is_fed() -> None:
    waits = {"silence_ms": 9_000, "stale_ms": 9_000, "yield_ms": 20_000, "proof_ms": 5_000}
    slow = of(2, beat_ms=2_000, pause_ms=4_000, deadman_ms=9_000, **waits)
    assert agreement(step(standing(Phase.ACTIVE), NewOrders(slow), 1)).feeds_ms == 7_000


@pytest.mark.parametrize("orders", [PAIR, LONGER, SHORTER])
def test_a_daemon_that_starts_again_lives_and_waits_as_the_one_before(orders: Orders) -> None:
    before = step(standing(Phase.ACTIVE), NewOrders(orders), 1)
    for state in (before, told(before, orders), told(before, PAIR)):
        again = with_agreement(initial(orders, 2, 5), agreement(state))
        assert agreement(again) == agreement(state)


def test_a_daemon_that_is_left_nothing_lives_as_every_release_waits() -> None:
    began = with_agreement(initial(LONGER, 1, 5), None)
    assert agreement(began).lives_ms == 2_000
    assert agreement(told(replace(began, peer=standing(Phase.ACTIVE).peer), LONGER)).lives_ms == 6_000


def test_the_first_release_is_told_its_own_digest_of_the_same_configuration() -> None:
    """Beside such a peer, which derives 2 s without proof, this controller lives no longer than the peer waits."""
    orders = of(2, proof_ms=4_000)
    state = step(standing(Phase.ACTIVE), NewOrders(orders), 1)
    for said, answer in ((digest(orders), 0), (first_digest(orders), first_digest(orders)), (77, 0)):
        heard = step(state, Heard(0, beat(counter=20, generation=2, digest=said, policy=0)), 2)
        assert outputs(heard).beat.first_digest == answer
        assert agreement(heard).lives_ms == (4_000 if said == digest(orders) else 2_000)
