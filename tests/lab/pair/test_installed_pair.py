"""The package that this checkout builds, under systemd on two emulated machines: boot, end and restart of the daemon.

Each test ends with `verify`, as in `test_scenarios`.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.debian import IMPORTERS
from tests.debian import WATCHDOG as UNIT
from tests.lab.benchmarks.load import ask_gaps
from tests.lab.image import Image
from tests.lab.pair.emulated_pair import EmulatedPair
from tests.lab.pair.head import ROOT, Head
from tests.lab.pair.installed_pair import InstalledHead, InstalledPair

pytestmark = pytest.mark.timeout(1_800)
#: Programs that only count, two for each processor, at normal priority; they end after this many seconds at the latest.
LOAD: Final = "timeout 300 sh -c 'for n in 1 2 3 4; do (while :; do :; done) & done; wait; : hagit-lab-load'"
#: How long the test samples heartbeats while nothing happens, and how long a renewal may take.
USUAL_S, RENEW_S = 10.0, 240.0


@pytest.fixture(scope="module")
def one_pair(
    storage_image: Image, progress: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InstalledPair]:
    with InstalledPair(storage_image, tmp_path_factory.mktemp("installed"), progress) as made:
        yield made


def of(head: Head) -> InstalledHead:
    assert isinstance(head, InstalledHead)
    return head


def both(pair: EmulatedPair) -> tuple[InstalledHead, InstalledHead]:
    """Return the active one and the other."""
    active = pair.active()
    return of(active), of(pair.other(active))


def taken_over(pair: EmulatedPair, new: Head, since: int) -> None:
    """Wait until this one has become active since a mark and answers clients; print its timeline."""
    pair.until(lambda: new.phase == "active", "the other takes over")
    pair.until(lambda: any(event.mark == "addresses-up" for event in new.events(since)), "addresses")
    pair.tell(new, since)


def imported(head: Head) -> str:
    """Return a text that differs after each import."""
    return head.machine.check("zpool get -H -o value load_guid tank").strip()


def test_both_boot_and_nothing_but_the_daemon_imports_the_pool(pair: EmulatedPair) -> None:
    for head in pair.heads:
        head.pull_the_plug()
    pair.boot()
    active = pair.well()
    pair.say(f"{active.side} is active, the other ready")
    for head in map(of, pair.heads):
        unit = head.unit(UNIT)
        assert (unit["ActiveState"], unit["NRestarts"]) == ("active", "0"), unit
        for name in IMPORTERS:
            seen = head.unit(name)
            assert (seen["LoadState"], seen["ActiveState"]) == ("masked", "inactive"), seen
        assert head.systemctl("list-units --failed --no-legend --plain").strip() == ""
        status = head.status()
        codes = {reason.code for reason in status.reasons} if status is not None else {"SILENT"}
        # The shelf of tgt supports neither. The units and their masks are well.
        assert codes <= {"NO_ABORT", "NO_APTPL"}, codes
        assert status is not None
        command = head.machine.check(f"tr '\\0' ' ' < /proc/{status.pid}/cmdline")
        assert command.startswith("/usr/lib/hagit/bin/python3"), command
    assert pair.other(active).pools() == []
    assert pair.verify() is active


def test_a_killed_daemon_is_started_again_by_its_unit_or_replaced(pair: EmulatedPair) -> None:
    active, new = both(pair)
    before, mark = imported(active), active.mark()
    if not pair.kill_daemon(active):
        assert pair.verify() is new
        return
    pair.tell(active, mark)
    assert active.unit(UNIT)["NRestarts"] == "1"
    assert imported(active) == before, "the pool was imported again"
    assert pair.verify() is active


def test_a_daemon_that_stands_still_has_its_controller_reset_by_the_deadman(pair: EmulatedPair) -> None:
    old, new = both(pair)
    mark, stopped_s = new.mark(), time.monotonic()
    old.daemon("STOP")
    old.until_off()
    pair.say(f"{old.side} was reset {time.monotonic() - stopped_s:.2f} s after its daemon was stopped")
    taken_over(pair, new, mark)
    assert pair.verify() is new


@pytest.mark.parametrize("how", ["restart", "reload", "upgrade"])
def test_a_new_daemon_takes_over_under_load_and_nobody_notices(pair: EmulatedPair, how: str) -> None:
    """On the active controller and on the other, while their processors have more to do than they can."""
    active, standby = both(pair)
    before, writer = imported(active), active.machine.check("pgrep -f tests.lab.pair.write[r]")
    marks = [(head, head.mark()) for head in (active, standby)]
    count = sum(active.records.said().values())
    with pair.client() as client, heartbeats(pair) as gaps:
        client.until_answered()
        for head in (active, standby):
            head.machine.send(f"{LOAD} > /dev/null 2>&1", 1e6)
            ask_gaps(gaps, b"again\n")
            threading.Event().wait(USUAL_S)
            usual = ask_gaps(gaps, b"look\n")
            ask_gaps(gaps, b"again\n")
            status, number = head.status(), head.machine.check("cat /var/lib/hagit/watchdog/incarnation")
            assert status is not None
            began_s = time.monotonic()
            renew(head, how)
            took_s = time.monotonic() - began_s
            pair.until(lambda: (head.status() or status).pid != status.pid, "another daemon")  # noqa: B023
            replaced = ask_gaps(gaps, b"look\n")
            assert head.machine.check("cat /var/lib/hagit/watchdog/incarnation") == number, "a life began"
            unit = head.unit(UNIT)
            assert (unit["ActiveState"], unit["NRestarts"]) == ("active", "0"), unit
            pair.say(
                f"{how} of the {head.phase} under load took {took_s:.1f} s; heartbeats at most "
                f"{max(usual.values()):.0f} ms apart before and {max(replaced.values()):.0f} ms meanwhile"
            )
            head.machine.check("pkill -f 'hagit-lab-loa[d]'; true")
        assert pair.well() is active
        client.until_answered()
    assert imported(active) == before, "the pool was imported again"
    assert active.machine.check("pgrep -f tests.lab.pair.write[r]") == writer
    assert active.machine.check("cat /root/writer") == "", "a write has failed"
    pair.until(lambda: sum(active.records.said().values()) > count, "the writer goes on")
    for head, mark in marks:
        assert [event for event in head.events(mark) if event.mark == "phase"] == [], pair.describe()
    pair.say(f"silence of the client {client.silence_ms:.0f} ms")
    assert pair.verify() is active


def renew(head: InstalledHead, how: str) -> None:
    """Renew the daemon by systemd, or as dpkg does when the package is already installed."""
    if how != "upgrade":
        head.systemctl(f"{how} {UNIT}", RENEW_S)
        return
    script = (ROOT / "packaging/debian/postinst").read_text()
    head.machine.check(f"cat > /run/postinst <<'END'\n{script}\nEND")
    head.machine.check("sh /run/postinst configure 0.1", RENEW_S)


@contextlib.contextmanager
def heartbeats(pair: EmulatedPair) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a listener on the interlink; see `ask_gaps`."""
    argv = pair.within(sys.executable, "-m", "tests.bench.gaps", "wire")
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as gaps:
        yield gaps
        assert gaps.stdin is not None
        gaps.stdin.close()


def test_a_standby_whose_daemon_is_stopped_stays_on(pair: EmulatedPair) -> None:
    active, standby = both(pair)
    standby.systemctl(f"stop {UNIT}")
    stopped_s = time.monotonic()
    assert standby.unit(UNIT)["Result"] == "success"
    long_s = 2 * pair.orders.timers.deadman_ms / 1_000
    pair.until(lambda: time.monotonic() - stopped_s > long_s, "the deadman would have come twice")
    assert standby.on, "an orderly end of a daemon that owns nothing disarms the deadman"
    assert active.phase == "active"
    standby.systemctl(f"start {UNIT}")
    assert pair.well() is active
    assert pair.verify() is active


def test_an_active_controller_whose_daemon_is_stopped_for_good_is_reset_and_replaced(pair: EmulatedPair) -> None:
    """Without a daemon no process answers for its pools: the hardware watchdog keeps counting over an orderly end."""
    old, new = both(pair)
    mark, stopped_s = new.mark(), time.monotonic()
    old.machine.send(f"systemctl stop {UNIT}")
    old.until_off()
    pair.say(f"{old.side} was reset {time.monotonic() - stopped_s:.2f} s after its daemon was to stop")
    taken_over(pair, new, mark)
    assert pair.verify() is new


def test_an_active_controller_that_is_rebooted_hands_its_pools_over(pair: EmulatedPair) -> None:
    old, new = both(pair)
    mark, olds, asked_s = new.mark(), old.mark(), time.monotonic()
    with pair.client() as client:
        client.until_answered()
        old.machine.send("systemctl reboot")
        taken_over(pair, new, mark)
        client.until_answered(60)
    old.until_off()
    pair.say(
        f"silence of the client {client.silence_ms:.0f} ms; off {time.monotonic() - asked_s:.1f} s after it was asked"
    )
    pair.tell(old, olds)
    phases = [event.new for event in old.events(olds) if event.mark == "phase"]
    assert phases[-1:] == ["standby"], f"it went down without a hand-over: {phases}\n{pair.describe()}"
    assert pair.verify() is new


def test_a_standby_that_is_rebooted_disturbs_nobody(pair: EmulatedPair) -> None:
    active, standby = both(pair)
    mark = active.mark()
    with pair.client() as client:
        client.until_answered()
        standby.machine.send("systemctl reboot")
        standby.until_off()
        pair.boot(standby)
        assert pair.well() is active
        client.until_answered()
    assert [event for event in active.events(mark) if event.mark == "phase"] == []
    pair.say(f"silence of the client {client.silence_ms:.0f} ms")
    assert pair.verify() is active
