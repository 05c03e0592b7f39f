"""What must hold when a watchdog is killed, or stands still and continues late, on an otherwise healthy controller.

The kernel of that controller keeps running, and so do the processes that write to the pool. Each test ends with
`verify`.
"""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests.lab.pair.emulated_pair import EmulatedPair

pytestmark = pytest.mark.timeout(1_800)


def test_a_daemon_that_is_killed_starts_again_in_time_or_is_replaced(pair: EmulatedPair) -> None:
    active = pair.active()
    pair.kill_daemon(active)
    assert pair.verify() is (active if active.on else pair.other(active))


def test_a_daemon_that_stands_still_has_its_controller_reset(pair: EmulatedPair) -> None:
    old, new, mark = pair.roles()
    stopped_s = time.monotonic()
    old.daemon("STOP")
    old.until_off()
    pair.say(f"{old.side} was reset {time.monotonic() - stopped_s:.2f} s after its daemon was stopped")
    pair.taken_over(new, mark)
    assert pair.verify() is new


def lenient_deadman(pair: EmulatedPair) -> None:
    """Lengthen the hardware watchdog's timeout, so that a daemon can continue before its controller is reset."""
    timers = pair.orders.timers
    pair.publish(timers=replace(timers, deadman_ms=120_000, patience_ms=timers.proof_ms + 120_000))
    pair.until_followed()
    pair.well()


def test_a_daemon_that_goes_on_late_finds_itself_replaced_and_resets_its_controller(pair: EmulatedPair) -> None:
    """No process writes there when it is replaced, so the kernel does not notice: only the daemon can."""
    lenient_deadman(pair)
    old, new, mark = pair.roles()
    olds = old.mark()
    pair.stop_writing(old)
    old.machine.check("zpool sync tank")
    old.daemon("STOP")
    pair.taken_over(new, mark)
    assert old.on, "nothing has told its kernel that it was fenced"
    pair.write(new)
    went_on_s = time.monotonic()
    old.daemon("CONT")
    old.until_off()
    pair.say(f"{old.side} reset itself {time.monotonic() - went_on_s:.2f} s after its daemon went on")
    pair.tell(old, olds)
    assert old.codes(olds, "halted") in (["FENCED"], ["UNPROVEN"])
    assert pair.verify() is new


def test_the_writes_of_a_controller_whose_daemon_stands_still_are_refused_once_it_is_replaced(
    pair: EmulatedPair,
) -> None:
    """The daemon takes no part: the disks refuse writes, and the kernel panics (failmode=panic)."""
    lenient_deadman(pair)
    old, new, mark = pair.roles()
    old.daemon("STOP")
    pair.taken_over(new, mark)
    before = old.acknowledged
    pair.write(new)
    old.until_off()
    pair.say(f"{old.side} ended, whose writes were refused")
    assert old.acknowledged - before <= 1, "at most what was on its way to us"
    assert pair.verify() is new


def test_a_standby_that_stood_still_takes_nothing_when_it_goes_on(pair: EmulatedPair) -> None:
    lenient_deadman(pair)
    active, standby, _ = pair.roles()
    with pair.client() as client:
        client.until_answered()
        with pair.no_failover():
            standby.daemon("STOP")
            pair.until(lambda: {"link0", "net0"} <= active.silent(), "the active one misses it")
            pair.pass_time(2 * pair.orders.timers.stale_ms / 1_000)
            standby.daemon("CONT")
            assert pair.well() is active
        client.until_answered()
    pair.say(f"silence of the client {client.silence_ms:.0f} ms")
    assert pair.verify() is active
