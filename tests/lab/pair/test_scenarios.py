"""What must hold when a controller, a link or a disk fails, on two emulated machines with real disks and pools.

Each test ends with `verify`: one active, the pool imported once, nothing acknowledged missing, a scrub without errors.
Each prints what happened when. How long it took depends on this host and its other work, and is not judged.
"""

from __future__ import annotations

import pytest

from tests.lab.pair.emulated import LINK0, EmulatedPair, Head

pytestmark = pytest.mark.timeout(1_800)


def taken_over(pair: EmulatedPair, new: Head, since: int) -> None:
    """Waits until this one has become active and answers clients, since a mark; tells its timeline."""
    pair.until(lambda: new.phase == "active", "the other takes over")
    pair.until(lambda: any(event.mark == "addresses-up" for event in new.events(since)), "addresses")
    pair.tell(new, since)


def both(pair: EmulatedPair) -> tuple[Head, Head, int]:
    """The active one, the standby, and a mark in the timeline of the latter."""
    old = pair.active()
    new = pair.other(old)
    return old, new, new.mark()


def test_power_cut(pair: EmulatedPair) -> None:
    old, new, mark = both(pair)
    with pair.client() as client:
        client.until_answered()
        old.pull_the_plug()
        taken_over(pair, new, mark)
        client.until_answered(60)
    pair.say(f"silence of the client {client.silence_ms:.0f} ms")
    assert pair.verify() is new


def test_a_cut_interlink_moves_nobody(pair: EmulatedPair) -> None:
    active = pair.active()
    with pair.client() as client:
        client.until_answered()
        for head in pair.heads:
            head.machine.cable(LINK0, plugged=False)
        pair.until(lambda: all("link0" in head.silent() for head in pair.heads), "both miss the interlink")
        assert (active.phase, pair.other(active).phase) == ("active", "standby")
        for head in pair.heads:
            head.machine.cable(LINK0, plugged=True)
        pair.until(lambda: not any("link0" in head.silent() for head in pair.heads), "the interlink is heard again")
        client.until_answered()
    pair.say(f"silence of the client {client.silence_ms:.0f} ms")
    assert pair.well() is active
    assert pair.verify() is active
