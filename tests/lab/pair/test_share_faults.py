"""Clients of NFS and iSCSI go on through each fault of a controller: no error, and no acknowledged record is missing.

The faults are those of `test_scenarios.py`; here a writer of each kind goes on all the time, on a third machine. The
tests do not judge durations, which depend on this host and its other work.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.lab.pair.head import LINK0, WAIT_S, Head
from tests.lab.pair.served_pair import ServedPair
from tests.lab.pair.test_scenarios import FAILOVERS, switch_over

pytestmark = pytest.mark.timeout(1_800)


def moved(served: ServedPair, fail: Callable[[Head], object]) -> tuple[Head, Head]:
    """Let the active one fail under writers; the other takes over. Returns the old active one and the new one."""
    old, new, mark = served.roles()
    with served.guest.writers() as found:
        fail(old)
        served.taken_over(new, mark)
    served.judge(found)
    return old, new


def test_kernel_panic(served: ServedPair) -> None:
    old, _ = moved(served, lambda old: old.machine.send("echo c > /proc/sysrq-trigger"))
    old.until_off()


def test_a_frozen_controller_that_wakes_disturbs_nobody(served: ServedPair) -> None:
    old, new, mark = served.roles()
    with served.guest.writers() as found:
        old.freeze()
        served.taken_over(new, mark)
        served.guest.until_written()
        old.wake()
        old.until_off()
    served.judge(found)
    assert new.phase == "active"


def test_a_watchdog_that_is_killed_starts_again_or_is_replaced(served: ServedPair) -> None:
    with served.guest.writers() as found:
        served.say("the same goes on" if served.kill_daemon(served.active()) else "the other took over")
    served.judge(found)


def test_a_cut_interlink_disturbs_nobody(served: ServedPair) -> None:
    with served.guest.writers() as found, served.no_failover():
        for head in served.heads:
            head.machine.cable(LINK0, plugged=False)
        served.until(lambda: all("link0" in head.silent() for head in served.heads), "both miss the interlink")
        served.guest.until_written()
    served.judge(found)


def test_an_active_controller_that_loses_its_disks_is_replaced(served: ServedPair) -> None:
    def lose(old: Head) -> None:
        for disk in served.orders.disks:
            old.unplug(disk)

    old, _ = moved(served, lose)
    old.until_off()


def test_there_and_back_at_once(served: ServedPair) -> None:
    """The second switchover comes as soon as the first one has ended and the other controller is able."""
    first, second, mark = served.roles()
    with served.guest.writers() as found:
        began_s = time.monotonic()
        served.say(switch_over(first))
        served.taken_over(second, mark)
        mark = first.mark()
        back = f"{second.python('reconciler.cli.entry', 'switchover', '--node', '/root/node.toml')} 2>&1"
        # The command is refused until the other one is able again. It may take long on a busy host.
        served.until(lambda: second.machine.run(back, WAIT_S).status == 0, "the switchover back")
        served.taken_over(first, mark)
        served.say(f"there and back in {time.monotonic() - began_s:.1f} s")
    served.judge(found)


def test_failovers_in_a_row(served: ServedPair) -> None:
    """Power cuts and switchovers, each in both directions, under the same writers."""
    with served.guest.writers() as found:
        for number in range(1, FAILOVERS + 1):
            old, new, mark = served.roles()
            # Two of one kind, then two of the other, so that each kind runs in both directions.
            cut = number // 2 % 2 == 0
            if cut:
                old.pull_the_plug()
            else:
                switch_over(old)
            served.taken_over(new, mark)
            served.say(f"{number} of {FAILOVERS}: a {'power cut' if cut else 'switchover'} from {old.side}")
            served.guest.until_written()
            if cut:
                served.boot(old)
            served.well()
    served.judge(found)
