"""Shared disks served by the kernel's own target (LIO) in a machine of its own: a shelf that can lose its power.

Decides how the shelf is wired (a TAP device in the network namespace of its users, a relay for each disk), what a disk
is (a file of the host that the shelf has as a SCSI disk) and what survives a loss of power: always the disks, and
registrations that were made with APTPL unless `forget` removes them. This target supports PREEMPT AND ABORT, READ FULL
STATUS and APTPL. Does not know the contents of the disks.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.lab.image import Image, image
from tests.lab.kernel_modules import load_modules, modules_share
from tests.lab.machine import Machine, Nic, Share
from tests.lab.room import ENDS_WITH_US, Room
from tests.lab.target import INITIATORS, Disks, blockdev, disk_device, partition

#: The wire between the namespace and the shelf.
TAP: Final = "shelf"
NEAR, FAR = "10.79.3.1", "10.79.3.2"
PORTAL: Final = f"{FAR}:3260"
#: The relay to logical unit 1 listens on the port after this one.
PORT: Final = 3300
GUEST: Final = Path(__file__).parent / "guest"
#: At each login the target asks the kernel for the checksum of RFC 7143, 13.1, even if it is not used.
MODULES: Final = ("sd_mod", "virtio_scsi", "target_core_iblock", "crc32c_generic", "iscsi_target_mod")
#: Where the kernel keeps registrations with APTPL.
KEPT: Final = "/var/target/pr"
MEMORY_MIB: Final = 384
TARGET_S: Final = 120


class KernelTarget(Disks):
    """Disks of the kernel's own target."""

    def __init__(
        self,
        count: int,
        size_mib: int = 256,
        *,
        built: Image | None = None,
        progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        super().__init__(count, size_mib)
        self.kept = self.place / "kept"
        self.kept.mkdir()
        #: The relay to each disk.
        self.ways: dict[str, Way] = {}
        self._admitted: list[str] = []
        self._machine: Machine | None = None
        try:
            for name in self.names:
                partition(self.file(name), size_mib)
            self._room = Room()
            for line in (f"tuntap add dev {TAP} mode tap", f"address add {NEAR}/24 dev {TAP}", f"link set {TAP} up"):
                subprocess.run([*self.within, "ip", *line.split()], check=True, capture_output=True, timeout=TARGET_S)
            self._machine = self._made(built or image(progress=progress))
            self.power_on()
            for number, name in enumerate(self.names, 1):
                self.ways[name] = Way(self, name, number)
        except BaseException:
            self.close()
            raise

    @property
    def machine(self) -> Machine:
        """The machine that is the shelf."""
        assert self._machine is not None
        return self._machine

    def devices(self, machine: str) -> tuple[str, ...]:
        """See `Disks.devices`. The shelf must be on while a machine uses them."""
        if machine not in self._admitted:
            self._shelf("admit", f"{INITIATORS}:{machine}")
            self._admitted.append(machine)
        words = ["-device", "virtio-scsi-pci,id=disks,num_queues=1"]
        for number, name in enumerate(self.names):
            portal = f"127.0.0.1:{PORT + number + 1}"
            words += ["-blockdev", blockdev(name, portal, number + 1, machine), "-device", disk_device(name, number)]
        return tuple(words)

    def power_off(self) -> None:
        """Cut the shelf's power: it may lose writes that it has not acknowledged, and loses every registration."""
        self.machine.close()

    def power_on(self) -> None:
        """Boot the shelf. It finds its disks and the registrations that it kept, and becomes reachable again."""
        self.machine.start()
        load_modules(self.machine, self._image, *MODULES)
        there = " && ".join(f"[ -e /dev/disk/by-id/{name} ]" for name in self.names)
        self.machine.check(
            f"ip address add {FAR}/24 dev eth0 && ip link set eth0 up && "
            f"until sh {GUEST}/links && {there or 'true'}; do sleep 0.1; done",
            TARGET_S,
        )
        self._shelf("disks", *self.names)
        for machine in self._admitted:
            self._shelf("admit", f"{INITIATORS}:{machine}")
        self._shelf("open")

    def forget(self) -> None:
        """Remove the kept registrations, as on a shelf without APTPL. Only while the shelf is off."""
        assert not self.machine.on, "it would write them again"
        for path in self.kept.iterdir():
            path.unlink()

    def close(self) -> None:
        """See `Disks.close`."""
        for way in self.ways.values():
            way.close()
        if self._machine is not None:
            self._machine.close()
        self._machine = None
        super().close()

    def _made(self, built: Image) -> Machine:
        self._image = built
        devices = ["-device", "virtio-scsi-pci,id=disks,num_queues=1"]
        for number, name in enumerate(self.names):
            devices += ["-blockdev", f"driver=file,node-name=at-{name},filename={self.file(name)}"]
            where = f"bus=disks.0,channel=0,scsi-id={number % 128},lun={number // 128}"
            devices += ["-device", f"scsi-hd,drive=at-{name},{where},serial={name}"]
        console = self.place / "console"
        console.mkdir()
        shares = (Share(GUEST), modules_share(built), Share(self.kept, KEPT))
        nic = Nic(hub=0, mac="02:00:00:00:79:f0", tap=TAP)
        return Machine(
            built, console, nics=[nic], shares=shares, memory_mib=MEMORY_MIB, devices=devices, within=self.within,
            name="shelf", ordered=True,
        )  # fmt: skip

    def _shelf(self, *words: str) -> None:
        self.machine.check(f"sh {GUEST}/shelf {shlex.join(words)}", TARGET_S)


class Way:
    """A relay to one disk of a shelf; through it every initiator keeps its port name over logins."""

    def __init__(self, target: KernelTarget, name: str, number: int) -> None:
        self.name, self.file = name, target.file(name)
        words = [sys.executable, "-m", "tests.lab.relay", str(PORT + number), PORTAL, str(number)]
        self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
            [*ENDS_WITH_US, *target.within, *words], cwd=GUEST.parents[2], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def hang(self, *, hangs: bool) -> None:
        """Stop the relay for every initiator, or let it continue."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if hangs else signal.SIGCONT)

    def close(self) -> None:
        """Cut the connections. A second call is no error."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
        self._process = None
