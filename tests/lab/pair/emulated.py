"""A pair for real, emulated: two machines on shared disks, each with the project's own watchdog, and their clients.

    controller a ── eth0 (net0) ──┐                             ┌── eth0 (net0) ── controller b
     10.79.0.11                   ┤ bridge lan, 10.79.0.1: client├                  10.79.0.12
                 ── eth1 (link0) ──────── bridge wire ──────────────── eth1 (link0) ──
                 ── disk0 … disk3 ─────── target (tgt) ─────────────── disk0 … disk3 ──

The virtual address is 10.79.0.100 on net0. Target, client and QEMU live in one network namespace. What a real
controller keeps on its system disk, /var/lib/hagit, is a directory of the host that both the machine and the test see;
everything else of a machine is gone when its power is. A machine that resets itself goes off: `boot` switches it on.

Decides how a controller is set up and which faults there are. Says what it waited for in vain, with both journals.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from reconciler.core.failover.key import Side
from reconciler.core.failover.orders import (
    Channel,
    ChannelKind,
    Device,
    DeviceKey,
    Group,
    Limits,
    Orders,
    Timers,
    Vdev,
    VirtualAddress,
)
from reconciler.core.failover.orders_document import orders_document, orders_key
from reconciler.core.failover.unsafe import unsafe
from reconciler.core.status.timeline import FailoverSummary, TimelineEvent, event_from_document, summaries
from reconciler.core.status.watchdog import WatchdogStatus, watchdog_from_document
from tests.lab.image import Image
from tests.lab.machine import Machine, MachineError, Nic, Share, project_shares
from tests.lab.pair.records import Acknowledged
from tests.lab.target import Target
from tests.waiting import until
from tests.watchdog.client import Client, pinging, prober

ROOT: Final = Path(__file__).parents[3]
VIRTUAL: Final = "10.79.0.100"
SECRET: Final = b"a secret of the tests, long enough for every seal"
NET0, LINK0 = 0, 1
#: Whatever is waited for may take this long on two slow and busy processors.
WAIT_S: Final = 300.0
#: What a daemon, its arms and a writer load, compiled on the host: the guest would take ten seconds for it.
COMPILED: Final = (
    "import reconciler.cli.entry, reconciler.watchdog.run, reconciler.watchdog.limb, tests.lab.pair.writer"
)
#: As the service manager does: a daemon that ends without being asked to starts again at once.
SERVICE: Final = (
    "cd {root} && while :; do {python} -m reconciler.cli.entry watchdog --node /root/node.toml; status=$?;"
    " [ $status = 0 ] && break; [ $status = 78 ] && break; done >> /var/lib/hagit/journal 2>&1"
)
#: For emulated processors of a busy machine, where a daemon may stand still for three seconds: what fails must fail by
#: what is tested, and not by slowness.
PATIENT: Final = Timers(
    silence_ms=6_000,
    record_ms=500,
    stale_ms=8_000,
    look_ms=500,
    proof_ms=10_000,
    pause_ms=3_000,
    claim_ms=30_000,
    import_ms=120_000,
    release_ms=30_000,
    handover_ms=20_000,
    boot_ms=15_000,
    yield_ms=40_000,
    deadman_ms=12_000,
    patience_ms=90_000,
)
ORDERS: Final = Orders(
    pair="tank",
    side=Side.A,
    generation=1,
    controllers=("left", "right"),
    disks=("disk0", "disk1", "disk2", "disk3"),
    vdevs=(Vdev("tank/mirror-0", (0, 1), 1), Vdev("tank/mirror-1", (2, 3), 1)),
    arbitration=(0, 1, 2),
    channels=(Channel("link0"), Channel("net0", ChannelKind.CARP)),
    groups=(Group(1, ("net0",)),),
    addresses=(VirtualAddress("net0", f"{VIRTUAL}/24", 79),),
    timers=PATIENT,
    limits=Limits(moves=1_000, resets=1_000),
)


class Head:
    """One controller: a machine that is on or off, and what outlives it."""

    def __init__(self, side: Side, number: int, image: Image, target: Target, place: Path, shares: tuple[Share, ...]):
        self.side, self.address = side, f"10.79.0.{11 + number}"
        self.state = place / side.value
        self.state.mkdir()
        self.records = Acknowledged(place / f"{side.value}.records")
        macs = [f"02:00:00:00:79:{number}{nic}" for nic in (NET0, LINK0)]
        names = ("net0", "link0")
        self.devices = tuple(Device(name, DeviceKey.MAC, mac) for name, mac in zip(names, macs, strict=True))
        nics = [Nic(hub=hub, mac=mac, tap=f"{side.value}-{names[hub]}") for hub, mac in enumerate(macs)]
        devices = (*target.devices(side.value), "-device", "i6300esb,id=deadman", *self.records.devices())
        self.machine = Machine(
            image, place / f"{side.value}-console", nics=nics, memory_mib=1024, name="left" if number == 0 else "right",
            shares=(*shares, Share(self.state, "/var/lib/hagit")), devices=devices, within=target.within,
            steady=os.environ.get("STEADY") != "0",
        )  # fmt: skip
        self.machine.log.parent.mkdir()
        self._disks = target.names
        self._environment = f"PYTHONDONTWRITEBYTECODE=1 PYTHONPYCACHEPREFIX={place}/compiled"
        #: Lines of its timeline that are of earlier lives.
        self._told = 0

    # Power -----------------------------------------------------------------------------------------------------------

    def power_on(self) -> None:
        """On, with disks and links, and no daemon yet."""
        self.launch()
        self.ready()

    def launch(self) -> None:
        """Switched on; `ready` must follow."""
        self.machine.close()
        self._told = self.mark()
        self.machine.launch()

    def ready(self) -> None:
        """Waits until it has booted."""
        self.machine.ready()
        secret = SECRET.decode()
        node = (
            f'controller = "{self.side.value}"\nstate = "/var/lib/hagit"\nlisten = false\n[watchdog]\n'
            'secret = "secret"\nshelf = "disks:/dev/disk/by-id"\ndeadman = "/dev/watchdog"\ngroup = "root"\n'
        )
        self.machine.check(
            f"ip address add {self.address}/24 dev eth0 && ip link set eth0 up && ip link set eth1 up && "
            f"printf %s {shlex.quote(secret)} > /root/secret && chmod 600 /root/secret && "
            f"printf %s {shlex.quote(node)} > /root/node.toml && echo 1 > /proc/sys/kernel/sysrq"
        )
        for name in self._disks:
            self.machine.until(f"[ -e /dev/disk/by-id/{name}-part9 ]")

    def start(self) -> None:
        """Starts the daemon, as the service manager would."""
        text = SERVICE.format(root=ROOT, python=f"{self._environment} {sys.executable}")
        self.machine.send(text, timeout_s=1e6)

    def python(self, module: str, *words: str) -> str:
        """The command that runs a module of the checkout in the guest."""
        argv = shlex.join([sys.executable, "-m", module, *words])
        return f"cd {ROOT} && {self._environment} {argv}"

    def pull_the_plug(self) -> float:
        """Off at once. The moment, on the host's monotonic clock."""
        moment = time.monotonic()
        self.machine.close()
        return moment

    def until_off(self, timeout_s: float = WAIT_S) -> None:
        """Waits until it has reset itself."""
        until(lambda: not self.machine.on, lambda: f"{self.side} is still on\n{self.journal()}", timeout_s)

    @property
    def on(self) -> bool:
        return self.machine.on

    # What it says ----------------------------------------------------------------------------------------------------

    def status(self) -> WatchdogStatus | None:
        """What its daemon published last; None while there is none."""
        if not self.on:
            return None
        with contextlib.suppress(MachineError, ValueError):
            told = watchdog_from_document(json.loads(self.machine.check("cat /run/hagit/watchdog.json", 10)))
            return told if isinstance(told, WatchdogStatus) else None
        return None

    @property
    def phase(self) -> str:
        """The last phase in the timeline of its present life: looking costs the guest nothing. Empty when it is off."""
        told = [event.new for event in self.events(self._told) if event.mark in ("phase", "started")]
        return told[-1] if told and self.on else ""

    def events(self, since: int = 0) -> list[TimelineEvent]:
        """Its timeline, over all its lives or from a mark on."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for line in (self.state / "watchdog/timeline.jsonl").read_bytes().splitlines():
                with contextlib.suppress(ValueError):
                    event = event_from_document(json.loads(line))
                    found += [event] if isinstance(event, TimelineEvent) else []
        return found[since:]

    def mark(self) -> int:
        """Where its timeline ends now: `events(since)` goes on there."""
        return len(self.events())

    def silent(self) -> set[str]:
        """The networks on which it does not hear the peer."""
        status = self.status()
        return {channel.name for channel in status.channels if channel.silent} if status is not None else set()

    def failovers(self) -> tuple[FailoverSummary, ...]:
        """Its timeline, summed up."""
        return summaries(self.events())

    def journal(self) -> str:
        """The end of what its daemons and its console said."""
        texts = []
        for path in (self.state / "journal", self.machine.log):
            with contextlib.suppress(FileNotFoundError):
                texts.append(f"{path.name}:\n{path.read_text(errors='replace')[-3_000:]}")
        return "\n".join(texts)

    def pools(self) -> list[str]:
        """The pools that its kernel has."""
        return self.machine.check("cd /proc/spl/kstat/zfs && ls -d */ 2>/dev/null | tr -d / || true").split()

    # Faults ----------------------------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """No processor runs, no clock counts, no watchdog either."""
        self.machine.monitor("stop")

    def wake(self) -> None:
        """It goes on where it was."""
        self.machine.monitor("cont")

    def daemon(self, signal: str) -> None:
        """A signal to the daemon."""
        status = self.status()
        assert status is not None
        self.machine.check(f"kill -{signal} {status.pid}")

    def unplug(self, disk: str) -> None:
        """One disk is gone from this controller only."""
        self.machine.monitor("device_del", id=disk)


class EmulatedPair:
    """Both controllers and the client's network; ends everything in `close`."""

    def __init__(self, image: Image, place: Path, progress: Callable[[str], None], orders: Orders = ORDERS) -> None:
        assert unsafe(orders) == (), unsafe(orders)
        self.orders, self._say, self._lives = orders, progress, itertools.count(1)
        self._began = time.monotonic()
        with contextlib.ExitStack() as stack:
            self.target = stack.enter_context(Target(len(orders.disks)))
            self._network()
            compiled = place / "compiled"
            environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(compiled), "PYTHONDONTWRITEBYTECODE": ""}
            subprocess.run([sys.executable, "-c", COMPILED], cwd=ROOT, env=environment, check=True, timeout=WAIT_S)
            shares = (*project_shares(), Share(compiled))
            self.a, self.b = (Head(side, number, image, self.target, place, shares) for number, side in enumerate(Side))
            for head in self.heads:
                stack.callback(head.records.close)
                stack.callback(head.machine.close)
                mine = replace(orders, side=head.side, devices=head.devices)
                (head.state / "orders.json").write_bytes(orders_document(mine, orders_key(SECRET)))
            self._stack = stack.pop_all()

    @property
    def heads(self) -> tuple[Head, Head]:
        return self.a, self.b

    def close(self) -> None:
        """Ends everything that was started."""
        self._stack.close()

    def say(self, text: str) -> None:
        """One line of progress, with the seconds since the pair began."""
        self._say(f"  {time.monotonic() - self._began:7.1f} s  {text}")

    def within(self, *command: str) -> list[str]:
        """The command line that runs a command where the client is."""
        return [*self.target.within, *command]

    def _network(self) -> None:
        lines = [
            "link add lan type bridge mcast_snooping 0",
            "link add wire type bridge mcast_snooping 0",
            "address add 10.79.0.1/24 dev lan",
            "link set lan up",
            "link set wire up",
        ]
        for side in Side:
            for name, bridge in (("net0", "lan"), ("link0", "wire")):
                tap = f"{side.value}-{name}"
                lines += [f"tuntap add dev {tap} mode tap", f"link set {tap} master {bridge}", f"link set {tap} up"]
        for line in lines:
            subprocess.run(self.within("ip", *line.split()), check=True, capture_output=True, timeout=WAIT_S)

    # Life ------------------------------------------------------------------------------------------------------------

    def make_pool(self) -> None:
        """Makes the pool on a, with filesystems, and exports it."""
        places = [f"/dev/disk/by-id/{name}-part1" for name in self.orders.disks]
        vdevs = [word for vdev in self.orders.vdevs for word in ("mirror", *(places[disk] for disk in vdev.disks))]
        self.a.machine.check(
            f"zpool create -o ashift=12 -o cachefile=none -O mountpoint=/tank -O atime=off tank {' '.join(vdevs)} && "
            "zfs create tank/home && zfs create tank/records && zpool export tank",
            WAIT_S,
        )

    def boot(self, *heads: Head) -> None:
        """Switches controllers on, all at once, and starts their daemons."""
        for head in heads or self.heads:
            head.launch()
        for head in heads or self.heads:
            head.ready()
        for head in heads or self.heads:
            head.start()

    def until(self, condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
        """Waits, and says in vain in what state both are."""
        end_s = time.monotonic() + timeout_s
        pause = threading.Event()
        while not (result := condition()):
            assert time.monotonic() < end_s, f"in vain for {timeout_s:g} s: {what}\n{self.describe()}"
            pause.wait(0.2)
        return result

    def active(self) -> Head:
        """Waits until exactly one is active and returns it."""
        found: list[Head] = []

        def one() -> bool:
            found[:] = [head for head in self.heads if head.phase == "active"]
            return len(found) == 1

        self.until(one, "one active controller")
        return found[0]

    def other(self, head: Head) -> Head:
        return self.b if head is self.a else self.a

    def well(self) -> Head:
        """Waits until one is active and the other is ready to take over; the active one."""

        def ready() -> Head | None:
            for head in self.heads:
                if (head.phase, self.other(head).phase) != ("active", "standby"):
                    continue
                status = head.status()
                # Asking costs an emulated processor a tenth of a second.
                threading.Event().wait(1.0)
                if status is not None and status.peer.phase == "standby" and status.peer.able:
                    return head
            return None

        found: Head = self.until(ready, "one active, the other ready to take over")
        return found

    def describe(self) -> str:
        """Everything one wants to know of a failure."""
        lines = []
        for head in self.heads:
            raw = head.machine.run("cat /run/hagit/watchdog.json; dmesg | tail -5", 20).out if head.on else ""
            lines += [f"== {head.side}: {'on' if head.on else 'off'}, {head.status() or raw}", head.journal()]
        return "\n".join(lines)

    # Load and check --------------------------------------------------------------------------------------------------

    def write(self, head: Head) -> None:
        """Starts a writer there in the place of any other, and waits for its first acknowledged record."""
        life = next(self._lives)
        head.machine.check("pkill -f tests.lab.pair.write[r]; while pgrep -f tests.lab.pair.write[r]; do :; done")
        head.machine.send(
            head.python("tests.lab.pair.writer", "/tank/records", str(life)) + " > /root/writer 2>&1", 1e6
        )
        self.until(lambda: head.records.said().get(life), "an acknowledged record")

    def said(self) -> dict[int, int]:
        """All that was acknowledged, by whichever controller."""
        return {life: count for head in self.heads for life, count in head.records.said().items()}

    def verify(self) -> Head:
        """One active, its pool imported there only, everything acknowledged on it, and no error in a scrub."""
        head = self.active()
        other = self.other(head)
        if other.on and "tank" in other.pools():
            raise AssertionError(f"two have the pool\n{self.describe()}")
        said = self.said()
        words = [f"{life}:{count}" for life, count in said.items()]
        checked = head.machine.run(head.python("tests.lab.pair.writer", "/tank/records", "check", *words), WAIT_S)
        assert checked.status == 0, f"{checked.out}{checked.err}\n{self.describe()}"
        head.machine.check("zpool scrub -w tank", WAIT_S)
        status = head.machine.check("zpool status -p tank")
        assert "with 0 errors" in status and "No known data errors" in status, status
        self.say(f"{head.side} has the pool; {sum(said.values())} acknowledged records are there; scrub without errors")
        return head

    @contextlib.contextmanager
    def client(self, interval_ms: int = 20) -> Iterator[Client]:
        """A client that pings the virtual address."""
        with pinging(self.within(*prober(VIRTUAL, interval_ms)), interval_ms) as client:
            yield client

    def tell(self, head: Head, since: int) -> None:
        """Prints what a controller's timeline says from a mark on, in its own time since the failover's trigger."""
        for event in head.events(since):
            if event.mark != "note":
                what = f"{event.old} → {event.new}" if event.mark == "phase" else event.mark
                after = "" if event.since_ms is None else f"{event.since_ms / 1_000:6.2f} s "
                self.say(f"  {head.side} {after}{what}: {event.text}")
        for part in head.failovers()[-1:]:
            self.say(f"  {head.side} {part}")
