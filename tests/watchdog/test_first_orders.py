"""With which orders a daemon begins in spite of a rule that its predecessor did not have."""

from dataclasses import replace

from reconciler.core.failover.orders.safety_checks import unsafe
from reconciler.core.failover.reservations.key import Side
from reconciler.watchdog.published_files import first_refused
from tests.core.failover.beats import ORDERS

#: As a rule that only a newer release has would find them.
UNSAFE = replace(ORDERS, arbitration=(0, 2))
assert unsafe(UNSAFE) and not unsafe(ORDERS)


def test_a_rule_of_a_newer_release_ends_nothing_that_was_in_force() -> None:
    assert first_refused(UNSAFE, Side.A, UNSAFE.pair, UNSAFE.generation) == ""
    for pair, generation in ((UNSAFE.pair, UNSAFE.generation - 1), ("", 0)):
        assert "arbitration" in first_refused(UNSAFE, Side.A, pair, generation)
    assert first_refused(UNSAFE, Side.B, UNSAFE.pair, UNSAFE.generation)
