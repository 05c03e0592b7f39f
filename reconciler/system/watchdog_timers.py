"""The kernel's watchdog timers: which there are, which one guards best, and whether one keeps what it promises.

Reads sysfs (Documentation/ABI/testing/sysfs-class-watchdog), because to open a device starts it, and asks an open one
with the ioctls of Documentation/watchdog/watchdog-api.rst. Decides which timer comes first; opens none.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TIMERS: Final = Path("/sys/class/watchdog")
#: Stands for any timer: the kernel gives this name to the first one, besides its own.
DEVICE: Final = Path("/dev/watchdog")
#: What the kernel's own timer calls itself (drivers/watchdog/softdog.c): it stops with the kernel that it should reset.
SOFTDOG: Final = "Software Watchdog"
#: More timers than any machine has.
TIMERS_MAX: Final = 32
TEXT_BYTES_MAX: Final = 80

# linux/watchdog.h: _IOR('W', 0, struct watchdog_info), _IOWR('W', 6, int), _IOR('W', 7, int), and bits of the options.
WDIOC_GETSUPPORT: Final = 0x80285700
WDIOC_SETTIMEOUT: Final = 0xC0045706
WDIOC_GETTIMEOUT: Final = 0x80045707
WDIOF_CARDRESET: Final = 0x0020
WDIOF_MAGICCLOSE: Final = 0x0100
INFO: Final = struct.Struct("II32s")


@dataclass(frozen=True, slots=True)
class WatchdogTimer:
    """One timer as sysfs shows it; where sysfs says nothing, what it leaves out is "", False or 0."""

    device: Path
    place: Path
    identity: str = ""
    active: bool = False
    nowayout: bool = False
    fired: bool = False

    def again(self) -> WatchdogTimer:
        """The timer as it is now."""
        return _timer(self.device, self.place)


def candidates(device: Path, timers: Path = TIMERS, any_device: Path = DEVICE) -> tuple[WatchdogTimer, ...]:
    """The timers that `device` may stand for, the best one first; only what is there.

    `any_device` is the name that stands for any of them.

    One that runs already comes first: an earlier daemon of this boot started it, and it resets the machine unless it
    is fed. Hardware comes before the kernel's own timer.
    """
    if device != any_device:
        return (_timer(device, timers / device.name),) if device.exists() else ()
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(timers) if name.removeprefix("watchdog").isdecimal()]
    names.sort(key=lambda name: int(name.removeprefix("watchdog")))
    found = [_timer(device.parent / name, timers / name) for name in names[:TIMERS_MAX]]
    found = [timer for timer in found if timer.device.exists()]
    if not found and device.exists():
        # A kernel without these files.
        found = [_timer(device, timers / "watchdog0")]
    return tuple(sorted(found, key=lambda timer: (not timer.active, timer.identity == SOFTDOG)))


def timer_of(handle: int, device: Path, timers: Path = TIMERS) -> WatchdogTimer:
    """The timer that a predecessor has opened as `handle`."""
    opened = Path(f"/proc/self/fd/{handle}")
    with contextlib.suppress(OSError):
        device = opened.readlink()
    return _timer(device, timers / ("watchdog0" if device == DEVICE else device.name))


def unfit_timer(handle: int, name: str, timeout_s: int, timeout_ms: int) -> str:
    """Set the time of an open timer, and say why it does not guard as the orders ask; "" when it does."""
    given = None
    with contextlib.suppress(OSError):
        given = _asked(handle, WDIOC_SETTIMEOUT, timeout_s)
    if given is None:
        # A driver with a time of its own may be fast enough.
        with contextlib.suppress(OSError):
            given = _asked(handle, WDIOC_GETTIMEOUT, 0)
    if given is None:
        return f"{name} does not let its time be set, nor says what it is"
    if given * 1_000 > timeout_ms:
        return f"{name} resets after {given} s, the orders say {timeout_ms} ms"
    with contextlib.suppress(OSError):
        options = INFO.unpack(fcntl.ioctl(handle, WDIOC_GETSUPPORT, bytes(INFO.size)))[0]
        if not options & WDIOF_MAGICCLOSE:
            # watchdog_release of the kernel stops such a timer at any close.
            return f"{name} stops when the daemon ends, however it ends: one that is killed is not reset"
    return ""


def _asked(handle: int, request: int, value: int) -> int:
    answer: int = struct.unpack("i", fcntl.ioctl(handle, request, struct.pack("i", value)))[0]
    return answer


def _timer(device: Path, place: Path) -> WatchdogTimer:
    status = _text(place / "bootstatus")
    return WatchdogTimer(
        device=device,
        place=place,
        identity="".join(letter for letter in _text(place / "identity") if letter.isprintable()),
        active=_text(place / "state") == "active",
        nowayout=_text(place / "nowayout") == "1",
        fired=status.isascii() and status.isdecimal() and bool(int(status) & WDIOF_CARDRESET),
    )


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(TEXT_BYTES_MAX).decode("ascii", "replace").strip()
    except OSError:
        return ""
