"""Deadmen: what is told to a simulated one, what a reset writes, and that no rehearsal ever resets the machine."""

import os
import socket
from pathlib import Path

from reconciler.system.deadman import DeviceDeadman, NoDeadman, SimulatedDeadman, open_deadman
from reconciler.system.watchdog_timers import candidates, timer_of
from tests.system.network.namespaces import in_namespace


def test_the_kind_follows_from_the_path(tmp_path: Path) -> None:
    assert isinstance(open_deadman(None), NoDeadman)
    assert isinstance(open_deadman(tmp_path / "watchdog9"), DeviceDeadman)
    assert isinstance(open_deadman(tmp_path / "deadman.sock"), SimulatedDeadman)


def test_a_simulated_one_hears_every_word(tmp_path: Path) -> None:
    path = tmp_path / "deadman.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(str(path))
        server.listen()
        server.settimeout(10)
        deadman = SimulatedDeadman(path)
        daemon, _ = server.accept()
        daemon.settimeout(10)
        with daemon:
            deadman.feed(3_000)
            assert deadman.armed and not deadman.problem
            deadman.reset()
            deadman.disarm()
            assert not deadman.armed
            heard = [daemon.recv(100).decode() for _ in range(4)]
        assert heard == ["hello", "feed 3000", "reset", "disarm"]
        # It connects again when the process on the other end was replaced.
        deadman.feed(1_000)
        again, _ = server.accept()
        with again:
            assert again.recv(100) == b"feed 1000"
        deadman.close()


def test_one_that_is_not_there_is_a_problem_and_no_error(tmp_path: Path) -> None:
    for deadman in (SimulatedDeadman(tmp_path / "deadman.sock"), DeviceDeadman(tmp_path / "watchdog")):
        deadman.feed(1_000)
        assert not deadman.armed and "No such file" in deadman.problem
        deadman.disarm()
        deadman.close()


def test_a_device_is_opened_with_the_first_feeding_and_closed_with_the_magic_letter(tmp_path: Path) -> None:
    # A file in place of a device: it takes no ioctl, as some drivers take no time, and shows what was written.
    device = tmp_path / "watchdog"
    device.write_bytes(b"")
    deadman = DeviceDeadman(device)
    assert not deadman.armed
    deadman.feed(5_000)
    deadman.feed(5_000)
    assert deadman.armed and "does not let its time be set" in deadman.problem
    deadman.close()
    assert device.read_bytes() == b"\0\0"
    deadman.feed(5_000)
    deadman.disarm()
    assert not deadman.armed and device.read_bytes() == b"\0V"


def test_firing_is_told_once_to_the_next_life(tmp_path: Path) -> None:
    (tmp_path / "deadman.sock.fired").touch()
    deadman = SimulatedDeadman(tmp_path / "deadman.sock")
    assert deadman.fired(False)
    assert not deadman.fired(False)
    assert not NoDeadman().fired(True)


def test_a_reset_is_asked_of_the_kernel(tmp_path: Path) -> None:
    trigger = tmp_path / "sysrq-trigger"
    trigger.write_bytes(b"")
    NoDeadman(trigger, Path("/proc/self/ns/net")).reset()
    assert trigger.read_bytes() == b"b"


def test_a_daemon_in_a_network_of_its_own_never_resets_the_machine(tmp_path: Path) -> None:
    trigger = tmp_path / "sysrq-trigger"
    trigger.write_bytes(b"")

    def reset() -> str:
        deadman = DeviceDeadman(tmp_path / "watchdog", trigger, Path("/proc/self/ns/net"))
        deadman.reset()
        return deadman.problem

    assert "must not reset the machine" in in_namespace(reset)
    assert trigger.read_bytes() == b""


def test_a_device_that_is_handed_over_is_not_closed_in_between(tmp_path: Path) -> None:
    """Only the last descriptor's end is an end to the driver, and only the new one writes the magic letter."""
    device = tmp_path / "watchdog9"
    device.touch()
    old, new = DeviceDeadman(device), DeviceDeadman(device)
    assert old.handles() == ()
    old.feed(3_000)
    (handle,) = old.handles()
    new.adopt((os.dup(handle),))
    assert new.armed
    old.close()
    new.feed(3_000)
    assert device.read_bytes() == b"\0\0"
    new.disarm()
    assert device.read_bytes() == b"\0\0V"
    assert new.handles() == ()
    # One that was never fed has nothing to give.
    new.adopt(())
    assert not new.armed


def sysfs(tmp_path: Path, **timers: dict[str, str]) -> Path:
    """The files of the kernel about these timers, in the form of sysfs."""
    for name, files in timers.items():
        place = tmp_path / "class" / name
        place.mkdir(parents=True)
        for file, text in files.items():
            (place / file).write_text(text + "\n")
    return tmp_path / "class"


def test_of_several_timers_the_running_one_comes_first_and_the_kernels_own_last(tmp_path: Path) -> None:
    soft, chip = {"identity": "Software Watchdog", "state": "inactive"}, {"identity": "iTCO_wdt", "state": "inactive"}
    places = sysfs(tmp_path, watchdog0=soft, watchdog1=chip, watchdog10=chip | {"state": "active"}, pretimeout={})
    assert candidates(tmp_path / "watchdog1", places) == ()
    for number in (0, 1, 10):
        (tmp_path / f"watchdog{number}").touch()
    (named,) = candidates(tmp_path / "watchdog1", places)
    assert (named.identity, named.active, named.nowayout) == ("iTCO_wdt", False, False)
    every = candidates(tmp_path / "watchdog", places, tmp_path / "watchdog")
    assert [timer.device.name for timer in every] == ["watchdog10", "watchdog1", "watchdog0"]


def test_the_best_timer_is_opened_and_one_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    soft, chip = {"identity": "Software Watchdog"}, {"identity": "iTCO_wdt"}
    places = sysfs(tmp_path, watchdog0=soft, watchdog1=chip | {"state": "active"}, watchdog2=chip)
    deadman = DeviceDeadman(tmp_path / "watchdog", timers=places, any_device=tmp_path / "watchdog")
    assert "is not there" in deadman.problem
    deadman.feed(5_000)
    assert not deadman.armed and "No such file" in deadman.problem
    # The drivers are loaded later. What another program feeds cannot be opened: here, a directory.
    (tmp_path / "watchdog0").touch()
    (tmp_path / "watchdog1").mkdir()
    (tmp_path / "watchdog2").touch()
    deadman.feed(5_000)
    assert deadman.armed and deadman.name.endswith("watchdog2 (iTCO_wdt)")
    assert (tmp_path / "watchdog2").read_bytes() == b"\0" and (tmp_path / "watchdog0").read_bytes() == b""
    assert timer_of(deadman.handles()[0], tmp_path / "watchdog", places).identity == "iTCO_wdt"
    deadman.close()


def test_a_timer_that_cannot_be_stopped_says_so_and_stays_armed(tmp_path: Path) -> None:
    device = tmp_path / "watchdog3"
    device.touch()
    for files in ({"nowayout": "1"}, {"nowayout": "0", "state": "active"}, {"nowayout": "0", "state": "inactive"}):
        places = sysfs(tmp_path / str(sorted(files.items())), watchdog3=files)
        deadman = DeviceDeadman(device, timers=places)
        assert not deadman.lasting
        deadman.feed(5_000)
        assert ("nowayout" in deadman.lasting) == (files["nowayout"] == "1")
        deadman.disarm()
        assert deadman.armed == (files != {"nowayout": "0", "state": "inactive"})


def test_only_a_timer_that_reset_the_machine_has_fired(tmp_path: Path) -> None:
    device = tmp_path / "watchdog3"
    device.touch()
    for status, fired in (("32", True), ("33", True), ("0", False), ("1", False), ("-32", False), ("x", False)):
        places = sysfs(tmp_path / f"status{status}", watchdog3={"bootstatus": status})
        assert DeviceDeadman(device, timers=places).fired(True) is fired
        assert not DeviceDeadman(device, timers=places).fired(False)
