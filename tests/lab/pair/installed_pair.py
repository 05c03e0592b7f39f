"""Controllers as a user has them: systemd is the first process, hagit is the package that this checkout builds.

Decides the rest of such a machine: the software that `tests.debian` installs, a node file, its links, and the agent
through which the host runs commands. The machine has no dbus, no logins, and no udevd (`first_boot` adds udevd). The
daemon is started by its unit, at boot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.debian import UNITS, enable, installed, quiet
from tests.lab.image import Image
from tests.lab.machine import Share
from tests.lab.pair.emulated_pair import PATIENTLY, EmulatedPair
from tests.lab.pair.head import NETWORKS, SECRET, WAIT_S, Head
from tests.lab.target import Disks, Target

AGENT: Final = """\
[Unit]
Description=The agent through which the host of the lab runs commands
DefaultDependencies=no
# What is mounted by the time that it answers, the host need not mount.
After=local-fs.target
[Service]
ExecStart=/usr/bin/python3 -S -E -s /lab/agent.py
KillMode=process
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/lab/bin HOME=/root LANG=C.UTF-8
"""
DISKS: Final = """\
[Unit]
Description=Disks by their serial numbers, in the place of udev
DefaultDependencies=no
Before=sysinit.target
[Service]
ExecStart=/lab/bin/busybox uevent /lab/bin/busybox sh /lab/links
ExecStartPost=/lab/bin/busybox sh /lab/links
"""
LINKS: Final = """\
[Unit]
Description=The links of this controller
DefaultDependencies=no
Before=network-pre.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c '{commands}'
"""
#: Units that Debian's units of ZFS require and that this machine replaces: without them ZFS imports nothing anyway.
THERE: Final = """\
[Unit]
Description={what}: the lab sees to that
DefaultDependencies=no
After=lab-disks.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
"""
#: Without udevd, libudev waits for it at each device of a pool.
MANAGER: Final = "[Manager]\nDefaultEnvironment=ZFS_VDEV_DEVID_OPT_OUT=YES\n"
#: Limits of the unit for the timers `PATIENT`: a slow daemon must not count as a hanging one.
PATIENT_UNIT: Final = "[Service]\nWatchdogSec=60\nTimeoutStopSec=60\n"
JOURNAL: Final = "[Journal]\nStorage=volatile\nForwardToConsole=yes\nTTYPath=/dev/ttyS0\nMaxLevelConsole=info\n"


class InstalledHead(Head):
    """One controller under systemd, with the package installed."""

    def trees(self, place: Path, states: int) -> tuple[Path, ...]:
        """Return the installed package, and the files that this controller's administrator has written."""
        own = place / f"{self.side.value}-tree"
        units = own / UNITS
        units.mkdir(parents=True)
        links = [f"ip address add {self.address}/24 dev eth0"]
        links += [f"ip link set eth{number} up" for number in range(len(NETWORKS))]
        for name, text in (("agent", AGENT), ("links", LINKS.format(commands=" && ".join(links)))):
            (units / f"lab-{name}.service").write_text(text)
            enable(own, f"lab-{name}.service", "sysinit.target", "..")
        (units / "zfs-load-module.service").write_text(THERE.format(what="ZFS"))
        quiet(own)
        # git writes into memory that is mapped to files.
        state = "9p rw,trans=virtio,version=9p2000.L,msize=262144,cache=mmap 0 0"
        for name, text in (
            ("etc/fstab", f"share{states} /var/lib/hagit {state}\n"),
            ("etc/machine-id", f"{self.side.value}" * 32 + "\n"),
            ("etc/systemd/journald.conf.d/lab.conf", JOURNAL),
            ("etc/hagit/node.toml", self.node(place)),
            (f"{UNITS}/hagit-watchdog.service.d/lab.conf", PATIENT_UNIT if PATIENTLY else ""),
            ("etc/hagit/secret", SECRET.decode()),
        ):
            (own / name).parent.mkdir(parents=True, exist_ok=True)
            (own / name).write_text(text)
        (own / "etc/hagit/secret").chmod(0o600)
        self.name_disks(own)
        return place / "installed", own

    def node(self, place: Path) -> str:
        """Return its node file. `place`: as for `trees`."""
        text = f'controller = "{self.side.value}"\nlisten = false\n[watchdog]\nsecret = "secret"\n'
        return text + 'shelf = "disks:/dev/disk/by-id"\ndeadman = "/dev/watchdog"\n'

    def name_disks(self, own: Path) -> None:
        """Name disks by their serial numbers in this controller's tree, in place of udev."""
        units, manager = own / UNITS, own / "etc/systemd/system.conf.d/lab.conf"
        (units / "lab-disks.service").write_text(DISKS)
        enable(own, "lab-disks.service", "sysinit.target", "..")
        (units / "systemd-udev-settle.service").write_text(THERE.format(what="Devices"))
        manager.parent.mkdir(parents=True)
        manager.write_text(MANAGER)

    def ready(self) -> None:
        """Wait until it has booted: its service manager starts the daemon meanwhile."""
        self.machine.ready()
        for name in self._disks:
            self.machine.until(f"[ -e /dev/disk/by-id/{name}-part9 ]")

    def start(self) -> None:
        """Do nothing: the unit has started the daemon."""

    def systemctl(self, words: str, timeout_s: float = WAIT_S) -> str:
        """Return the output of systemctl(1)."""
        return self.machine.check(f"systemctl {words}", timeout_s)

    def unit(self, name: str) -> dict[str, str]:
        """Return the properties of a unit."""
        lines = self.systemctl(f"show {name}").splitlines()
        return {key: value for key, _, value in (line.partition("=") for line in lines)}


class InstalledPair(EmulatedPair):
    """The pair of such controllers."""

    def __init__(
        self,
        image: Image,
        place: Path,
        progress: Callable[[str], None],
        further: Sequence[Share] = (),
        shelf: Callable[[int], Disks] = Target,
        kind: type[InstalledHead] = InstalledHead,
    ) -> None:
        installed(place)
        super().__init__(image, place, progress, further=further, shelf=shelf, kind=kind)

    def begin(self) -> None:
        """Start from nothing, with the pool before any orders. Returns once one is active and the other ready."""
        self.say("booting")
        (self.a.state / "orders.json").unlink()
        self.a.power_on()
        self.make_pool()
        self.say("the pool is made")
        self.a.publish(self.orders)
        self.boot(self.b)
        self.say(f"{self.well().side} is active, the other ready")
