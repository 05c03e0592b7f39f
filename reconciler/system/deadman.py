"""The deadman: a hardware timer that resets this controller if it is not fed, and the reset that comes at once.

`open_deadman` chooses by name: a device of the kernel's watchdog API (Documentation/watchdog/watchdog-api.rst), a
simulated one (`demo/deadman`, for controllers that are namespaces), or none. Opening a device starts it, so it is
opened with the first feeding and not before. Knows nothing of when to feed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from reconciler.system.watchdog_timers import DEVICE, TIMERS, WatchdogTimer, candidates, timer_of, unfit_timer

SIMULATED: Final = ".sock"
SYSRQ: Final = Path("/proc/sysrq-trigger")
#: The network namespace of this daemon, and that of the machine it would reset.
_OWN_NETWORK, MACHINES_NETWORK = Path("/proc/thread-self/ns/net"), Path("/proc/1/ns/net")

#: linux/watchdog.h: the letter of a close in good order.
WDIOF_MAGICCLOSE: Final = b"V"


class Deadman(Protocol):
    """What resets this controller. `problem` says what is wrong with it, "" when nothing is.

    `armed`: it counts, and resets this controller when it is not fed. `fired` before the first feeding: it ended the
    last life of this controller. None of these raises.
    """

    name: str
    problem: str
    armed: bool

    @property
    def lasting(self) -> str:
        """Why it resets this controller even after an orderly stop; "" when it does not."""
        ...

    def feed(self, timeout_ms: int) -> None:
        """Postpone the reset by `timeout_ms`. The first call arms the timer."""

    def fired(self, new_boot: bool) -> bool:
        """Whether it was the deadman that reset this controller last; `new_boot`: the first question of this boot."""
        ...

    def disarm(self) -> None:
        """It does not reset this controller any more: nothing is imported here."""

    def reset(self) -> None:
        """Reset this controller now. Returns only when that did not work; the deadman is armed still."""

    def close(self) -> None:
        """Close it without disarming: the next daemon feeds it in time, or it resets this controller."""

    def handles(self) -> tuple[int, ...]:
        """Open files that a successor has to get, because it cannot open them while this process has them."""
        ...

    def adopt(self, handles: tuple[int, ...]) -> None:
        """Go on with the open files of the predecessor: the timer never saw its device closed."""


def open_deadman(path: Path | None) -> Deadman:
    """The deadman of the node file: a device, the socket of a simulated one (its name ends in .sock), or none."""
    if path is None:
        return NoDeadman()
    return SimulatedDeadman(path) if path.suffix == SIMULATED else DeviceDeadman(path)


def _sysrq(trigger: Path, network: Path) -> str:
    """Reset the machine this kernel runs on (Documentation/admin-guide/sysrq.rst, `b`); says why it did not.

    Never from a network namespace of its own: such a daemon stands for a controller and is none.
    """
    try:
        if _OWN_NETWORK.readlink() != network.readlink():
            return "this daemon runs in a network namespace of its own and must not reset the machine"
        with trigger.open("wb", buffering=0) as file:
            file.write(b"b")
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return ""


class DeviceDeadman:
    """A watchdog timer of the kernel. Its unit is the second, so a bound is rounded down, and never below one.

    `device` is one timer, or `/dev/watchdog`: then the best one that can be opened (`system/watchdog_timers`), and one
    whose driver is loaded later is found with the next feeding.
    """

    def __init__(
        self,
        device: Path,
        trigger: Path = SYSRQ,
        network: Path = MACHINES_NETWORK,
        timers: Path = TIMERS,
        any_device: Path = DEVICE,
    ) -> None:
        self._candidates = partial(candidates, device, timers, any_device)
        self.name = str(device)
        self.problem = "" if self._candidates() else f"{device} is not there"
        self.armed = False
        self._device, self._trigger, self._network, self._timers = device, trigger, network, timers
        self._timer: WatchdogTimer | None = None
        self._handle = -1
        self._timeout_s = 0
        self._unfit = ""

    @property
    def lasting(self) -> str:
        """Why it resets this controller even after an orderly stop; "" when it does not."""
        fixed = self._timer is not None and self._timer.nowayout
        return f"{self.name} cannot be stopped once it runs (nowayout)" if fixed else ""

    def feed(self, timeout_ms: int) -> None:
        """Opens the device if need be, sets its time, and feeds it."""
        try:
            if self._handle < 0:
                self._open()
            self._set(max(1, timeout_ms // 1_000), timeout_ms)
            os.write(self._handle, b"\0")
        except OSError as error:
            self.problem = f"{self.name}: {error.strerror}"
        else:
            self.problem = self._unfit

    def _open(self) -> None:
        """The first of the candidates that can be opened. One that another program feeds (EBUSY) is left to it."""
        refused = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        for timer in self._candidates():
            try:
                self._handle = os.open(timer.device, os.O_WRONLY | os.O_CLOEXEC)
            except OSError as error:
                refused = error
                continue
            self._begun(timer)
            return
        raise refused

    def _begun(self, timer: WatchdogTimer) -> None:
        self._timer, self._timeout_s, self.armed = timer, 0, True
        self.name = str(timer.device) + (f" ({timer.identity})" if timer.identity else "")

    def _set(self, timeout_s: int, timeout_ms: int) -> None:
        """A driver that takes no time keeps its own; it is fed all the same, for it counts already."""
        if timeout_s == self._timeout_s:
            return
        self._timeout_s = timeout_s
        self._unfit = unfit_timer(self._handle, self.name, timeout_s, timeout_ms)

    def fired(self, new_boot: bool) -> bool:
        """Asking the device would arm it, so sysfs is asked. Any of the candidates may have been the one."""
        return new_boot and any(timer.fired for timer in self._candidates())

    def disarm(self) -> None:
        """Magic close. A driver without it, or with nowayout, resets all the same: then it stays `armed`."""
        timer = self._timer
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                os.write(self._handle, WDIOF_MAGICCLOSE)
            self.close()
            self.armed = timer is not None and (timer.nowayout or timer.again().active)

    def reset(self) -> None:
        """By the kernel at once; the timer, which is not fed any more, comes after."""
        self.problem = _sysrq(self._trigger, self._network)

    def close(self) -> None:
        """Without the magic letter the timer runs on."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
            self._timeout_s = 0

    def handles(self) -> tuple[int, ...]:
        """The device: it can be opened once only (EBUSY)."""
        return (self._handle,) if self._handle >= 0 else ()

    def adopt(self, handles: tuple[int, ...]) -> None:
        """The time is set again with the next feeding: it may be another one by newer orders."""
        for handle in handles:
            self._handle = handle
            self._begun(timer_of(handle, self._device, self._timers))


class SimulatedDeadman:
    """A process that kills everything of one simulated controller. One line for each deed; it never answers."""

    lasting = ""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.problem = ""
        self.armed = False
        self._path = path
        self._socket: socket.socket | None = None
        # Known to it from the start: what an earlier daemon armed has to reset this one, too.
        self._tell("hello")

    def feed(self, timeout_ms: int) -> None:
        """Tell it."""
        self.armed = self._tell(f"feed {timeout_ms}") or self.armed

    def fired(self, new_boot: bool) -> bool:
        """It leaves a note for the next life, which is read once."""
        note = self._path.with_name(self._path.name + ".fired")
        found = note.exists()
        with contextlib.suppress(OSError):
            note.unlink(missing_ok=True)
        return found

    def disarm(self) -> None:
        """Tell it."""
        self._tell("disarm")
        self.armed = False
        self.close()

    def reset(self) -> None:
        """Tell it; it kills this process."""
        self._tell("reset")

    def close(self) -> None:
        """It goes on counting."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def handles(self) -> tuple[int, ...]:
        """None: it talks with any number of daemons, and knows each of them."""
        return ()

    def adopt(self, handles: tuple[int, ...]) -> None:
        """Nothing was sent."""

    def _tell(self, line: str) -> bool:
        for _ in range(2):
            try:
                if self._socket is None:
                    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
                    self._socket = made
                    made.connect(str(self._path))
                self._socket.send(line.encode())
            except OSError as error:
                self.problem = f"{self._path}: {error.strerror}"
                self.close()
            else:
                self.problem = ""
                return True
        return False


class NoDeadman:
    """A controller whose owner does without: what hangs here is not reset, only what still runs can reset itself."""

    lasting = ""

    def __init__(self, trigger: Path = SYSRQ, network: Path = MACHINES_NETWORK) -> None:
        self.name = "none"
        self.problem = "there is no deadman: a controller that hangs is not reset"
        self.armed = False
        self._trigger, self._network = trigger, network

    def feed(self, timeout_ms: int) -> None:
        """There is no timer to feed."""

    def fired(self, new_boot: bool) -> bool:
        """False: there is no timer."""
        return False

    def disarm(self) -> None:
        """Nothing is armed."""

    def reset(self) -> None:
        """By the kernel at once."""
        self.problem = _sysrq(self._trigger, self._network) or self.problem

    def close(self) -> None:
        """Nothing is open."""

    def handles(self) -> tuple[int, ...]:
        """Nothing is open."""
        return ()

    def adopt(self, handles: tuple[int, ...]) -> None:
        """Nothing was sent."""
