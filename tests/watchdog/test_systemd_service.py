"""The installed package under systemd: how the units start, end and restart the daemon of either controller."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import debian
from tests.debian import IMPORTERS, WATCHDOG
from tests.wait import until
from tests.watchdog.pair import ORDERS, PATIENT
from tests.watchdog.systemd_pair import SystemdHead, SystemdPair


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return debian.installed(tmp_path_factory.mktemp("debian"))


@pytest.fixture
def pair(tmp_path: Path, installed: Path) -> Iterator[SystemdPair]:
    """a is active, b ready."""
    made = SystemdPair(tmp_path, replace(ORDERS, timers=PATIENT), installed)
    try:
        made.settle()
        yield made
        made.verify()
    finally:
        made.close()


def restarted(pair: SystemdPair, head: SystemdHead, before: int) -> None:
    """Waits until another daemon goes on as the active one."""

    def again() -> bool:
        status = head.status()
        return status is not None and status.pid != before and status.phase == "active"

    pair.until(again)
    pair.until_ready()


def test_the_package_boots_to_a_pair_and_no_unit_imports_pools(pair: SystemdPair) -> None:
    for letter in ("a", "b"):
        head = pair.serviced(letter)
        assert head.property("ActiveState") == "active" and head.property("NRestarts") == "0"
        for unit in IMPORTERS:
            assert (head.property("LoadState", unit), head.property("ActiveState", unit)) == ("masked", "inactive")
        assert "watchdog" in head.property("StatusText") or head.property("StatusText")
        pid = head.property("MainPID")
        assert head.inside("cat", f"/proc/{pid}/cmdline").stdout.startswith("/usr/lib/hagit/bin/python3\0")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_daemon_that_ends_unasked_is_started_again_and_stays_active(pair: SystemdPair, number: int) -> None:
    status = pair.a.status()
    assert status is not None
    pair.a.signal(number)
    restarted(pair, pair.serviced("a"), status.pid)
    assert pair.serviced("a").property("NRestarts") == "1"
    assert (pair.a.went()[-1], pair.a.serves, pair.b.went()[-1]) == ("active", True, "standby")


@pytest.mark.parametrize("words", ["restart", "reload", "restart restart reload"])
def test_a_new_daemon_goes_on_where_the_old_one_was(pair: SystemdPair, words: str) -> None:
    """Not even a start is told of: the same life goes on, in another process that is the unit's main one."""
    with pair.client() as client:
        client.until_answered()
        for head in (pair.serviced("a"), pair.serviced("b")):
            went, number = head.went(), (head.state / "watchdog/incarnation").read_bytes()
            for word in words.split():
                before = head.property("MainPID")
                head.systemctl(word, WATCHDOG)
                after = head.property("MainPID")
                assert after not in (before, "0")
                assert str(main(head)) == after
                # What is no child of systemd it could not watch.
                assert head.inside("sed", "-n", "s/^PPid:[^0-9]*//p", f"/proc/{after}/status").stdout == "1\n"
                assert (head.property("ActiveState"), head.property("Result")) == ("active", "success")
                assert head.property("NRestarts") == "0"
                # The start that found it ends at once.
                until_alone(head)
                pair.until_ready()
            assert (head.went(), (head.state / "watchdog/incarnation").read_bytes()) == (went, number)
        client.until_answered()
        assert client.silence_ms < PATIENT.silence_ms
    # It is watched as the one before was.
    head, mark = pair.serviced("a"), main(pair.serviced("a"))
    pair.a.signal(signal.SIGKILL)
    pair.until(lambda: main(head) not in (mark, 0))
    pair.until_ready()
    assert head.property("NRestarts") == "1"


def test_a_daemon_that_cannot_be_replaced_goes_on_over_a_restart(pair: SystemdPair) -> None:
    """Neither the new daemon nor the start that follows can read its node file, and pools and clients stay."""
    head = pair.serviced("a")
    place = f"/run/systemd/system/{WATCHDOG}.d"
    head.inside("sh", "-c", f"mkdir -p {place}; printf '[Service]\\nTimeoutStopSec=1\\n' >{place}/zz.conf")
    head.systemctl("daemon-reload")
    text, before = head.node.read_text(), main(head)
    with pair.client() as client:
        client.until_answered()
        head.node.write_text(text + "what = is this\n")
        assert head.inside("systemctl", "reload", WATCHDOG).returncode != 0
        assert main(head) == before
        assert head.inside("systemctl", "restart", WATCHDOG).returncode != 0
        assert (head.property("ActiveState"), head.property("ExecMainStatus")) == ("failed", "78")
        pair.until(lambda: {"SUCCESSOR_FAILED", "UNSUPERVISED"} <= head.reasons())
        assert (main(head), head.phase) == (before, "active")
        head.node.write_text(text)
        head.systemctl("start", WATCHDOG)
        assert head.property("MainPID") == str(before)
        pair.until(lambda: "UNSUPERVISED" not in head.reasons())
        head.systemctl("restart", WATCHDOG)
        assert main(head) != before
        pair.until(lambda: not {"SUCCESSOR_FAILED", "UNSUPERVISED"} & head.reasons())
        client.until_answered()
        assert client.silence_ms < PATIENT.silence_ms
    assert pair.b.went()[-1] == "standby"


def test_a_daemon_that_hangs_is_ended_by_the_start_that_follows(pair: SystemdPair) -> None:
    head = pair.serviced("b")
    place = f"/run/systemd/system/{WATCHDOG}.d"
    head.inside("sh", "-c", f"mkdir -p {place}; printf '[Service]\\nTimeoutStopSec=1\\n' >{place}/zz.conf")
    head.systemctl("daemon-reload")
    before = main(head)
    pair.b.signal(signal.SIGSTOP)
    head.systemctl("restart", WATCHDOG)
    pair.until(lambda: main(head) != before)
    pair.until_ready()
    assert pair.a.went()[-1] == "active"


def main(head: SystemdHead) -> int:
    """The process that published last, as its own system counts; 0 when none has."""
    status = head.status()
    return status.pid if status is not None else 0


def until_alone(head: SystemdHead) -> None:
    """Waits until the main process of the unit is the only daemon."""
    until(lambda: head.inside("pgrep", "-f", "hagit watchdog").stdout.split() == [head.property("MainPID")], head.logs)


def test_a_standby_is_stopped_without_a_reset(pair: SystemdPair) -> None:
    head = pair.serviced("b")
    head.systemctl("stop", WATCHDOG)
    assert (head.property("ActiveState"), head.property("Result")) == ("inactive", "success")
    with pytest.raises(AssertionError):
        until(lambda: not head.on, lambda: "it is on", 1.5 * PATIENT.deadman_ms / 1_000)
    head.systemctl("start", WATCHDOG)
    pair.until_phases(a="active", b="standby")


def test_an_active_controller_whose_daemon_is_stopped_for_good_is_reset_and_replaced(pair: SystemdPair) -> None:
    pair.serviced("a").systemctl("stop", WATCHDOG)
    assert pair.a.until_reset() == "the deadman was not fed"
    pair.until_phases(b="active")
    pair.until(lambda: pair.b.serves)


def test_a_reboot_of_the_active_controller_hands_over_first(pair: SystemdPair) -> None:
    with pair.client() as client:
        client.until_answered()
        pair.serviced("a").systemctl("reboot")
        pair.serviced("a").until_down()
        pair.until_phases(b="active")
        client.until_answered()
        assert client.silence_ms < PATIENT.silence_ms, "clients waited for a takeover"
    assert pair.a.went()[-1] == "standby"
    assert "the deadman was not fed" not in pair.a.logs()


def test_a_reboot_without_a_peer_is_not_held_up(pair: SystemdPair) -> None:
    pair.b.pull_the_plug()

    def alone() -> bool:
        status = pair.a.status()
        return status is not None and not status.readiness.ready

    pair.until(alone)
    pair.serviced("a").systemctl("reboot")
    pair.serviced("a").until_down()
    assert pair.a.went()[-1] == "active"


def test_a_reboot_of_a_standby_disturbs_nobody(pair: SystemdPair) -> None:
    mark = pair.a.went()
    pair.serviced("b").systemctl("reboot")
    pair.serviced("b").until_down()
    pair.b.boot()
    pair.until_phases(b="standby")
    pair.until_ready()
    assert pair.a.went() == mark
