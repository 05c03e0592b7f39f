"""Two machines that both believe they are controller a, on one shelf: at most one writes, and both say why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.pair.emulated_pair import EmulatedPair
from tests.lab.pair.head import Head

pytestmark = pytest.mark.timeout(1_800)


def reasons(head: Head) -> set[str]:
    """Return the codes of the reasons in its status."""
    status = head.status()
    return {reason.code for reason in status.reasons} if status is not None else set()


@pytest.fixture
def clone(pair: EmulatedPair) -> Iterator[Head]:
    """Yield the machine of the standby, booted with the node file and the orders of the active controller."""
    active, other, _ = pair.roles()
    side = other.side
    other.pull_the_plug()
    other.side = active.side
    other.publish(pair.orders)
    pair.boot(other)
    yield other
    other.pull_the_plug()
    other.side = side
    other.publish(pair.orders)


def test_a_clone_of_the_active_controller_takes_nothing_from_it(pair: EmulatedPair, clone: Head) -> None:
    active = pair.other(clone)
    mark = clone.mark()
    pair.until(lambda: "TWIN" in reasons(clone), "the clone hears the active controller")
    pair.until(lambda: "TWIN" in reasons(active), "the active controller hears the clone")
    refused, text = clone.run_hagit("force-activate", "--word", clone.machine.name)
    pair.say(f"force-activate on the clone: {text.strip().splitlines()[-3:]}")
    assert refused != 0
    pair.pass_time(3 * pair.orders.timers.stale_ms / 1_000)
    assert active.phase == "active"
    assert clone.codes(mark, "claiming") == []
    assert "tank" not in clone.pools()
    before = active.acknowledged
    pair.until(lambda: active.acknowledged > before, "the active controller writes on")
    active.pull_the_plug()
    pair.until(lambda: clone.phase == "active", "the clone, alone now, takes the pools")
    pair.tell(clone, mark)
    assert pair.verify() is clone
