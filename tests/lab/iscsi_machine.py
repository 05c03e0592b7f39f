"""One emulated machine that is both a controller with a pool and the initiator of its targets.

Decides how the machine is made: a pool on one disk, volumes, the state dataset at its place, the kernel's target and
initiator, a virtual address on the loopback device. One process of the guest runs the real adapter
(`guest/iscsi_server.py`), and Debian's open-iscsi logs in. Does not know what a test expects.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from reconciler.core.failover.strict_json import build, plain
from reconciler.core.shares.ports import ServerView
from reconciler.core.shares.shares import Initiator, IscsiServer, IscsiTarget, Lun, Shares
from tests.lab.debian_trees import laid_over
from tests.lab.exit_stack import Closing
from tests.lab.image import Image
from tests.lab.initiator import OPEN_ISCSI, start_initiator
from tests.lab.kernel_modules import load_modules, modules_share
from tests.lab.machine import Finished, Machine, Share, project_shares
from tests.lab.target import partition

ROOT: Final = Path(__file__).parents[2]
GUEST: Final = Path(__file__).parent / "guest"
MODULES: Final = ("target_core_iblock", "crc32c_generic", "sha3_generic", "iscsi_target_mod", "iscsi_tcp")
MEMORY_MIB: Final = 1_024
POOL_MIB: Final = 2_048
ADDRESS: Final = "10.9.0.1"
PORT: Final = 3_260
CLIENT: Final = "iqn.2026-01.lab:client"
PART: Final = "/dev/disk/by-id/disk0-part1"
STATE: Final = "tank/hagit-state"
TREE: Final = "/sys/kernel/config/target"
REQUESTS, ANSWERS = "/run/requests", "/run/answers"
WRITTEN: Final = "/run/written.json"
#: Longest run of the adapter's process.
ALWAYS_S: Final = 86_400.0
#: Longest wait on a busy host.
LONG_S: Final = 240.0


def target(name: str, volumes: Sequence[str], initiators: Sequence[Initiator] = (Initiator(CLIENT),)) -> IscsiTarget:
    """Return a target with these volumes of the pool as logical units 0, 1..."""
    luns = tuple(Lun(number, f"tank/{volume}") for number, volume in enumerate(volumes))
    return IscsiTarget(name, f"iqn.2026-01.lab:{name}", (ADDRESS,), luns, tuple(initiators))


def shares_of(*targets: IscsiTarget) -> Shares:
    """Return shares that are these targets."""
    return Shares("lab", None, STATE, iscsi=IscsiServer(), targets=targets)


class GuestServer:
    """The adapter in the guest, as the port that it implements."""

    def __init__(self, machine: IscsiMachine) -> None:
        self._machine = machine

    def look(self, shares: Shares, deadline_s: float) -> ServerView:
        """See `ShareServer.look`."""
        return self._call("look", shares, deadline_s)

    def start(self, shares: Shares, deadline_s: float) -> ServerView:
        """See `ShareServer.start`."""
        return self._call("start", shares, deadline_s)

    def stop(self, deadline_s: float) -> ServerView:
        """See `ShareServer.stop`."""
        return self._call("stop", Shares("lab"), deadline_s)

    def _call(self, verb: str, shares: Shares, deadline_s: float) -> ServerView:
        (view,) = self._machine.serve(shares, verb, deadline_s=deadline_s)
        del view["ms"]
        return build(ServerView, view, "view")


class IscsiMachine(Closing):
    """The machine, from its boot to its end."""

    def __init__(self, image: Image, place: Path, progress: Callable[[str], None] = lambda text: None) -> None:
        partition(place / "disk0", POOL_MIB)
        self._image, self._tree = image, OPEN_ISCSI.tree(progress)
        shares = (*project_shares(), modules_share(image), Share(self._tree))
        devices = (
            "-device", "virtio-scsi-pci,id=disks,num_queues=1",
            "-blockdev", f"driver=file,node-name=at-disk0,filename={place / 'disk0'}",
            "-device", "scsi-hd,drive=at-disk0,bus=disks.0,serial=disk0,id=disk0",
        )  # fmt: skip
        self.machine = Machine(
            image, place, shares=shares, memory_mib=MEMORY_MIB, devices=devices, name="iscsi", ordered=True
        )
        self.check = self.machine.check
        self.run = self.machine.run

    def enter(self) -> None:
        """Boot it and make its pool."""
        self.machine.start()
        load_modules(self.machine, self._image, *MODULES)
        self.check("mount -t configfs configfs /sys/kernel/config")
        self.check(laid_over(self._tree))
        start_initiator(self.machine, self._tree, CLIENT)
        self.check(f"ip address add {ADDRESS}/32 dev lo && mkfifo {REQUESTS} {ANSWERS}")
        words = shlex.join([sys.executable, str(GUEST / "iscsi_server.py"), REQUESTS, ANSWERS])
        self.machine.send(f"cd {ROOT} && PYTHONPATH={ROOT} {words} >/dev/console 2>&1", ALWAYS_S)
        self.check(
            f"zpool create -f -o cachefile=none -O mountpoint=none tank {PART} &&"
            " mkdir -p /var/lib/hagit/pool-state &&"
            f" zfs create -o mountpoint=/var/lib/hagit/pool-state -o sync=always {STATE}",
            LONG_S,
        )

    def close(self) -> None:
        """Cut its power."""
        self.machine.close()

    def volumes(self, *names: str, size_mib: int = 16) -> None:
        """Make volumes of the pool."""
        made = " && ".join(f"zfs create -s -V {size_mib}M -o sync=always tank/{name}" for name in names)
        self.check(made, LONG_S)

    def move_pool(self) -> None:
        """Export the pool and import it again, as if the peer did. Looks at no disk of the initiator: those wait."""
        self.check(f"zpool export tank && zpool import -d {PART} -o cachefile=none tank", LONG_S)

    def clear(self) -> None:
        """End every session, target and volume of an earlier test."""
        self.run("iscsiadm -m node -u; iscsiadm -m node -o delete", LONG_S)
        self.serve(Shares("lab", None, STATE), "start")
        self.run("for volume in $(zfs list -H -o name -t volume); do zfs destroy -r $volume; done", LONG_S)
        self.run("rm -rf /var/lib/hagit/pool-state/iscsi", LONG_S)

    def serve(
        self, shares: Shares, *verbs: str, secrets: Mapping[str, str] | None = None, deadline_s: float = 120.0
    ) -> list[dict[str, Any]]:
        """Run the adapter in the guest; return the view of each call."""
        document = {"shares": plain(shares), "secrets": dict(secrets or {}), "deadline_s": deadline_s, "verbs": verbs}
        given = f"printf %s {shlex.quote(json.dumps(document))} > {REQUESTS}"
        printed = self.check(f"{given} && cat {ANSWERS}", LONG_S)
        return [json.loads(line) for line in printed.splitlines()]

    def login(self, iqn: str, **settings: str) -> Finished:
        """Log in to a target. `settings`: of iscsiadm(8), with `__` for each dot."""
        where = f"-m node -T {iqn} -p {ADDRESS}:{PORT}"
        commands = [
            f"iscsiadm {where} -o new",
            f"iscsiadm {where} -o update -n node.session.initial_login_retry_max -v 1",
        ]
        for name, value in settings.items():
            commands.append(f"iscsiadm {where} -o update -n {name.replace('__', '.')} -v {shlex.quote(value)}")
        return self.run(" && ".join([*commands, f"iscsiadm {where} -l"]), LONG_S)

    def disk(self, lun: int = 0) -> str:
        """Return the device of a logical unit of the newest session."""
        found = f"ls -d /sys/class/iscsi_session/session*/device/target*/*:{lun}/block/*"
        self.machine.until(f"{found} >/dev/null 2>&1", LONG_S)
        return "/dev/" + self.check(found).split()[-1].rpartition("/")[2]

    def write_to(self, device: str) -> int:
        """Start to write records without pause, and wait for the first one; `written` ends that."""
        self.check(f"rm -f {WRITTEN}.end {WRITTEN}.begun")
        number = self.machine.send(shlex.join(["python3", str(GUEST / "disk_writer.py"), device, WRITTEN]), LONG_S)
        self.machine.until(f"[ -e {WRITTEN}.begun ]", LONG_S)
        return number

    def written(self, number: int) -> dict[str, Any]:
        """End a writer once it has written for another second, and return what came of it."""
        self.check(f"sleep 1; touch {WRITTEN}.end")
        done = self.machine.result(number, LONG_S)
        assert done.status == 0, f"{done.err}{self.check('dmesg | tail -n 40')}"
        told: dict[str, Any] = json.loads(self.check(f"cat {WRITTEN}"))
        return told
