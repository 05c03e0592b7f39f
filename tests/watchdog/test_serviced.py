"""The installed package under systemd: how the units start, end and restart the daemon of either controller."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import debian
from tests.debian import IMPORTERS, WATCHDOG
from tests.waiting import until
from tests.watchdog.pair import ORDERS, PATIENT
from tests.watchdog.serviced import ServicedHead, ServicedPair


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return debian.installed(tmp_path_factory.mktemp("debian"))


@pytest.fixture
def pair(tmp_path: Path, installed: Path) -> Iterator[ServicedPair]:
    """a is active, b ready."""
    made = ServicedPair(tmp_path, replace(ORDERS, timers=PATIENT), installed)
    try:
        made.settle()
        yield made
        made.verify()
    finally:
        made.close()


def restarted(pair: ServicedPair, head: ServicedHead, before: int) -> None:
    """Waits until another daemon goes on as the active one."""

    def again() -> bool:
        status = head.status()
        return status is not None and status.pid != before and status.phase == "active"

    pair.until(again)
    pair.until_ready()


def test_the_package_boots_to_a_pair_and_no_unit_imports_pools(pair: ServicedPair) -> None:
    for letter in ("a", "b"):
        head = pair.serviced(letter)
        assert head.property("ActiveState") == "active" and head.property("NRestarts") == "0"
        for unit in IMPORTERS:
            assert (head.property("LoadState", unit), head.property("ActiveState", unit)) == ("masked", "inactive")
        assert "watchdog" in head.property("StatusText") or head.property("StatusText")
        pid = head.property("MainPID")
        assert head.inside("cat", f"/proc/{pid}/cmdline").stdout.startswith("/usr/lib/hagit/bin/python3\0")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_daemon_that_ends_unasked_is_started_again_and_stays_active(pair: ServicedPair, number: int) -> None:
    status = pair.a.status()
    assert status is not None
    pair.a.signal(number)
    restarted(pair, pair.serviced("a"), status.pid)
    assert pair.serviced("a").property("NRestarts") == "1"
    assert (pair.a.went()[-1], pair.a.serves, pair.b.went()[-1]) == ("active", True, "standby")


def test_a_restart_of_the_active_daemon_disturbs_nobody(pair: ServicedPair) -> None:
    status = pair.a.status()
    assert status is not None
    with pair.client() as client:
        client.until_answered()
        pair.serviced("a").systemctl("restart", WATCHDOG)
        restarted(pair, pair.serviced("a"), status.pid)
        client.until_answered()
        assert client.silence_ms < PATIENT.silence_ms
    assert pair.b.phase == "standby"


def test_a_standby_is_stopped_without_a_reset(pair: ServicedPair) -> None:
    head = pair.serviced("b")
    head.systemctl("stop", WATCHDOG)
    assert (head.property("ActiveState"), head.property("Result")) == ("inactive", "success")
    with pytest.raises(AssertionError):
        until(lambda: not head.on, lambda: "it is on", 1.5 * PATIENT.deadman_ms / 1_000)
    head.systemctl("start", WATCHDOG)
    pair.until_phases(a="active", b="standby")


def test_an_active_controller_whose_daemon_is_stopped_for_good_is_reset_and_replaced(pair: ServicedPair) -> None:
    pair.serviced("a").systemctl("stop", WATCHDOG)
    assert pair.a.until_reset() == "the deadman was not fed"
    pair.until_phases(b="active")
    pair.until(lambda: pair.b.serves)


def test_a_reboot_of_the_active_controller_hands_over_first(pair: ServicedPair) -> None:
    with pair.client() as client:
        client.until_answered()
        pair.serviced("a").systemctl("reboot")
        pair.serviced("a").until_down()
        pair.until_phases(b="active")
        client.until_answered()
        assert client.silence_ms < PATIENT.silence_ms, "clients waited for a takeover"
    assert pair.a.went()[-1] == "standby"
    assert "the deadman was not fed" not in pair.a.logs()


def test_a_reboot_without_a_peer_is_not_held_up(pair: ServicedPair) -> None:
    pair.b.pull_the_plug()

    def alone() -> bool:
        status = pair.a.status()
        return status is not None and not status.readiness.ready

    pair.until(alone)
    pair.serviced("a").systemctl("reboot")
    pair.serviced("a").until_down()
    assert pair.a.went()[-1] == "active"


def test_a_reboot_of_a_standby_disturbs_nobody(pair: ServicedPair) -> None:
    mark = pair.a.went()
    pair.serviced("b").systemctl("reboot")
    pair.serviced("b").until_down()
    pair.b.boot()
    pair.until_phases(b="standby")
    pair.until_ready()
    assert pair.a.went() == mark
