"""One controller of the emulated pair: power, observation, and faults.

Decides how a controller is set up from nothing at each power-on and which faults one machine can have. /var/lib/hagit,
which a real controller keeps on its system disk, is a directory of the host that both the machine and the test see. A
machine loses everything else with its power. Does not know the other controller.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from reconciler.core.failover.orders.document import orders_document, orders_key
from reconciler.core.failover.orders.orders import Device, DeviceKey, Orders
from reconciler.core.failover.reservations.key import Side
from reconciler.core.status.timeline import FailoverSummary, TimelineEvent, event_from_document, summaries
from reconciler.core.status.watchdog import WatchdogStatus, watchdog_from_document
from reconciler.system.zfs.checks import IMPORT_UNITS
from tests.lab.image import Image
from tests.lab.machine import Machine, MachineError, Nic, Share
from tests.lab.pair.records import Acknowledged
from tests.lab.target import Disks, disk_device
from tests.wait import until

ROOT: Final = Path(__file__).parents[3]
SECRET: Final = b"a secret of the tests, long enough for every seal"
#: Its NICs eth0 to eth3, under their names in the orders.
NETWORKS: Final = ("net0", "link0", "net1", "net2")
NET0, LINK0, NET1, NET2 = range(len(NETWORKS))
#: Where units are masked, as the package does it.
MASKS: Final = "/etc/systemd/system"
#: Longest wait for any condition, on two slow and busy processors.
WAIT_S: Final = 300.0
#: As the service manager does: a daemon that ends unexpectedly starts again at once.
SERVICE: Final = (
    "cd {root} && while :; do {python} -m reconciler.cli.entry watchdog --node /root/node.toml; status=$?;"
    " [ $status = 0 ] && break; [ $status = 78 ] && break; done >> /var/lib/hagit/journal 2>&1"
)


class Head:
    """One controller: a machine that is on or off, and the state that survives the machine."""

    #: What its kernel has for itself, the pool and its mounts.
    memory_mib = 1_024

    def __init__(
        self,
        side: Side,
        number: int,
        image: Image,
        target: Disks,
        place: Path,
        shares: tuple[Share, ...],
        steady: bool,
    ) -> None:
        self.side, self.address = side, f"10.79.0.{11 + number}"
        self.state = place / side.value
        self.state.mkdir()
        self.records = Acknowledged(place / f"{side.value}.records")
        macs = [f"02:00:00:00:79:{number}{nic}" for nic in range(len(NETWORKS))]
        self.devices = tuple(Device(name, DeviceKey.MAC, mac) for name, mac in zip(NETWORKS, macs, strict=True))
        nics = [Nic(hub=hub, mac=mac, tap=f"{side.value}-{NETWORKS[hub]}") for hub, mac in enumerate(macs)]
        deadman = ("-device", "i6300esb,id=deadman")
        devices = (*target.devices(side.value), *deadman, *self.records.devices(), *self.besides(place))
        self.machine = Machine(
            image, place / f"{side.value}-console", nics=nics, memory_mib=self.memory_mib,
            name="left" if number == 0 else "right", shares=(*shares, Share(self.state, "/var/lib/hagit")),
            devices=devices, within=target.within, steady=steady, trees=self.trees(place, len(shares)),
        )  # fmt: skip
        self.machine.log.parent.mkdir()
        self._disks = target.names
        self._environment = f"PYTHONDONTWRITEBYTECODE=1 PYTHONPYCACHEPREFIX={place}/compiled"
        #: The checkout whose daemon it runs: this one, or that of another release.
        self.tree = ROOT
        #: The pair's secret at each power-on; it seals the controller's orders.
        self.secret = SECRET
        #: Number of lines in its timeline from earlier lives.
        self._told = 0

    def besides(self, place: Path) -> tuple[str, ...]:
        """Return further arguments of QEMU."""
        return ()

    def trees(self, place: Path, states: int) -> tuple[Path, ...]:
        """Return trees with its installed software (`Machine`). `states`: number of the share for /var/lib/hagit."""
        return ()

    # Power -----------------------------------------------------------------------------------------------------------

    def power_on(self) -> None:
        """Switch on, with disks and links, but no daemon yet."""
        self.launch()
        self.ready()

    def launch(self) -> None:
        """Switch on; `ready` must follow."""
        self.machine.close()
        self._told = self.mark()
        self.machine.launch()

    def ready(self) -> None:
        """Wait until it has booted."""
        self.machine.ready()
        secret, nics = self.secret.decode(), " ".join(map(str, range(len(NETWORKS))))
        node = (
            f'controller = "{self.side.value}"\nstate = "/var/lib/hagit"\nlisten = false\n[watchdog]\n'
            'secret = "secret"\nshelf = "disks:/dev/disk/by-id"\ndeadman = "/dev/watchdog"\ngroup = "root"\n'
        )
        self.machine.check(
            f"ip address add {self.address}/24 dev eth0 && for nic in {nics}; do ip link set eth$nic up; done && "
            f"printf %s {shlex.quote(secret)} > /root/secret && chmod 600 /root/secret && "
            f"printf %s {shlex.quote(node)} > /root/node.toml && echo 1 > /proc/sys/kernel/sysrq && "
            f"mkdir -p {MASKS} && for unit in {' '.join(IMPORT_UNITS)}; do ln -sf /dev/null {MASKS}/$unit; done"
        )
        for name in self._disks:
            self.machine.until(f"[ -e /dev/disk/by-id/{name}-part9 ]", WAIT_S)

    def start(self) -> None:
        """Start the daemon, as the service manager would."""
        text = SERVICE.format(root=self.tree, python=f"{self._environment} {sys.executable}")
        self.machine.send(text, timeout_s=1e6)

    def python(self, module: str, *words: str) -> str:
        """Return the command that runs a module of the checkout in the guest."""
        argv = shlex.join([sys.executable, "-m", module, *words])
        return f"cd {ROOT} && {self._environment} {argv}"

    def run_hagit(self, *words: str, given: str = "") -> tuple[int, str]:
        """Run a command of hagit there. `given`: its standard input. Returns exit status and output."""
        command = self.python("reconciler.cli.entry", *words, "--node", "/root/node.toml")
        done = self.machine.run(f"export COLUMNS=110; printf %s {shlex.quote(given)} | ({command})", WAIT_S)
        return done.status, done.out + done.err

    def pull_the_plug(self) -> float:
        """Switch off at once. Returns the moment, on the host's monotonic clock."""
        moment = time.monotonic()
        self.machine.close()
        return moment

    def until_off(self, timeout_s: float = WAIT_S) -> None:
        """Wait until it has reset itself."""
        until(lambda: not self.machine.on, lambda: f"{self.side} is still on\n{self.journal()}", timeout_s)

    @property
    def on(self) -> bool:
        return self.machine.on

    # What it says ----------------------------------------------------------------------------------------------------

    def status(self) -> WatchdogStatus | None:
        """Return what its daemon published last; None while there is none."""
        if not self.on:
            return None
        with contextlib.suppress(MachineError, ValueError):
            told = watchdog_from_document(json.loads(self.machine.check("cat /run/hagit/watchdog.json", 10)))
            return told if isinstance(told, WatchdogStatus) else None
        return None

    def known(self) -> WatchdogStatus:
        """Wait for a status of its daemon and return it."""
        told = until(self.status, lambda: f"{self.side} says nothing of itself\n{self.journal()}", WAIT_S)
        assert told is not None
        return told

    @property
    def phase(self) -> str:
        """Return the last phase in the timeline of its present life, at no cost for the guest. Empty when it is off."""
        told = [event.new for event in self.events(self._told) if event.mark in ("phase", "started")]
        return told[-1] if told and self.on else ""

    def events(self, since: int = 0) -> list[TimelineEvent]:
        """Return its timeline, over all its lives or from a mark on."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for line in (self.state / "watchdog/timeline.jsonl").read_bytes().splitlines():
                with contextlib.suppress(ValueError):
                    event = event_from_document(json.loads(line))
                    found += [event] if isinstance(event, TimelineEvent) else []
        return found[since:]

    def mark(self) -> int:
        """Return where its timeline ends now: `events(since)` continues there."""
        return len(self.events())

    def silent(self) -> set[str]:
        """Return the networks on which it does not hear the peer."""
        status = self.status()
        return {channel.name for channel in status.channels if channel.silent} if status is not None else set()

    def failovers(self) -> tuple[FailoverSummary, ...]:
        """Return a summary of its timeline."""
        return summaries(self.events())

    @property
    def acknowledged(self) -> int:
        """Return how many records all its writers have acknowledged so far."""
        return sum(self.records.said().values())

    def journal(self) -> str:
        """Return the end of its daemons' output and of its console."""
        texts = []
        for path in (self.state / "journal", self.machine.log):
            with contextlib.suppress(FileNotFoundError):
                texts.append(f"{path.name}:\n{path.read_text(errors='replace')[-3_000:]}")
        return "\n".join(texts)

    def codes(self, since: int, phase: str) -> list[str]:
        """Return why it entered a phase, each time from a mark on: the names of the core's decisions.

        It may enter a claim more than once if a disk was slow to answer the first one.
        """
        return [event.code for event in self.events(since) if event.mark == "phase" and event.new == phase]

    def pools(self) -> list[str]:
        """Return the pools that its kernel has imported."""
        return self.machine.check("cd /proc/spl/kstat/zfs && ls -d */ 2>/dev/null | tr -d / || true").split()

    # Orders ----------------------------------------------------------------------------------------------------------

    def publish(self, orders: Orders) -> None:
        """Write orders for this controller as its agent does. The daemon finds them whole, within a second or two."""
        mine = replace(orders, side=self.side, devices=self.devices)
        written = self.state / "orders.new"
        written.write_bytes(orders_document(mine, orders_key(self.secret)))
        written.rename(self.state / "orders.json")

    # Faults ----------------------------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Stop its processors, its clock and its hardware watchdog."""
        self.machine.monitor("stop")

    def wake(self) -> None:
        """Let it continue where it was."""
        self.machine.monitor("cont")

    def daemon(self, signal: str) -> None:
        """Send a signal to the daemon."""
        self.machine.check(f"kill -{signal} {self.known().pid}")

    def cable(self, nic: int, *, plugged: bool) -> None:
        """Plug or unplug one cable of this controller."""
        self.machine.cable(nic, plugged=plugged)

    def unplug(self, disk: str) -> None:
        """Remove one disk from this controller only."""
        self.machine.monitor("device_del", id=disk)

    def plug_in(self, disk: str) -> None:
        """Bring the disk back."""
        driver, *words = disk_device(disk, self._disks.index(disk)).split(",")
        options: dict[str, Any] = dict(word.split("=", 1) for word in words)
        options |= {key: int(options[key]) for key in ("channel", "scsi-id", "lun")} | {"share-rw": True}
        self.machine.monitor("device_add", driver=driver, **options)
        self.machine.until(f"[ -e /dev/disk/by-id/{disk}-part9 ]", WAIT_S)
