"""A pair for real, emulated: two machines on shared disks, each with the project's own watchdog, and their clients.

    controller a ── eth0 (net0) ──┐                             ┌── eth0 (net0) ── controller b
     10.79.0.11                   ┤ bridge lan, 10.79.0.1: client├                  10.79.0.12
                 ── eth1 (link0) ──────── bridge wire ──────────────── eth1 (link0) ──
                 ── eth2 (net1), eth3 (net2) ── bridges lan1, lan2 ── eth2, eth3 ──────
                 ── disk0 … disk3 ─────── target (tgt) ─────────────── disk0 … disk3 ──

The virtual address is 10.79.0.100 on net0. Heartbeats go over link0 and net0. net0 and net1 are failover group 1, net2
alone is group 2; net1 and net2 carry nothing, which spares emulated processors. Target, client and QEMU live in one
network namespace. A machine that resets itself goes off: `boot` switches it on.

Decides what the pair is and what must hold of it at any time. Says what it waited for in vain, with both journals.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from reconciler.core.failover.orders.orders import (
    Channel,
    ChannelKind,
    Group,
    Limits,
    Orders,
    Timers,
    Vdev,
    VirtualAddress,
)
from reconciler.core.failover.orders.safety_checks import unsafe
from reconciler.core.failover.reservations.key import Side
from tests.lab.exit_stack import Closing
from tests.lab.image import Image
from tests.lab.machine import Share, project_shares
from tests.lab.pair.head import NETWORKS, ROOT, WAIT_S, Head
from tests.lab.pair.sg_persist import asking, complaints, parse
from tests.lab.target import Disks, Target
from tests.watchdog.client import Client, pinging, prober

VIRTUAL: Final = "10.79.0.100"
#: Guests count their time by their instructions: for a host that is very busy.
STEADY: Final = os.environ.get("STEADY") == "1"
#: The timers are `PATIENT`, and clocks run with the host's: for a host with other work.
PATIENTLY: Final = STEADY or os.environ.get("PATIENT") == "1"
#: The bridge that joins each network of both controllers.
BRIDGES: Final = {"net0": "lan", "link0": "wire", "net1": "lan1", "net2": "lan2"}
#: Number of acknowledged records before a test lets anything fail.
RECORDS_MIN: Final = 20
#: Modules of a daemon, its workers, a writer and a switchover, compiled on the host: the guest would take long for it.
COMPILED: Final = (
    "import reconciler.cli.entry, reconciler.watchdog.main, reconciler.watchdog.worker_handle,"
    " reconciler.watchdog.fork_server, reconciler.cli.application, reconciler.cli.switchover, tests.lab.pair.writer"
)
#: For emulated processors of a busy machine, where a daemon may stand still for three seconds: a test must fail because
#: of its subject, and not because of slowness.
PATIENT: Final = Timers(
    silence_ms=6_000,
    record_ms=500,
    stale_ms=8_000,
    look_ms=1_000,
    proof_ms=15_000,
    settle_ms=3_000,
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
    groups=(Group(1, ("net0", "net1")), Group(2, ("net2",))),
    addresses=(VirtualAddress("net0", f"{VIRTUAL}/24", 79),),
    timers=PATIENT if PATIENTLY else Timers(),
    limits=Limits(moves=1_000, resets=1_000),
)


class EmulatedPair(Closing):
    """Both controllers and the client's network; `close` ends everything. A `with` block also calls `begin`."""

    def __init__(
        self,
        image: Image,
        place: Path,
        progress: Callable[[str], None],
        orders: Orders = ORDERS,
        further: Sequence[Share] = (),
        shelf: Callable[[int], Disks] = Target,
        kind: type[Head] = Head,
    ) -> None:
        """`further`: more directories of the host for both machines. `shelf`: makes a shelf with that many disks.

        `kind`: the class of a controller.
        """
        assert unsafe(orders) == (), unsafe(orders)
        self.orders = self._first = orders
        self._say, self._lives = progress, itertools.count(1)
        self._began = time.monotonic()
        with contextlib.ExitStack() as stack:
            self.target = stack.enter_context(shelf(len(orders.disks)))
            self._network()
            compiled = place / "compiled"
            environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(compiled), "PYTHONDONTWRITEBYTECODE": ""}
            subprocess.run([sys.executable, "-c", COMPILED], cwd=ROOT, env=environment, check=True, timeout=WAIT_S)
            shares = (*project_shares(), Share(compiled), *further)
            self.a, self.b = (
                kind(side, number, image, self.target, place, shares, steady=STEADY) for number, side in enumerate(Side)
            )
            for head in self.heads:
                stack.callback(head.records.close)
                stack.callback(head.machine.close)
                head.publish(orders)
            self._stack = stack.pop_all()

    def enter(self) -> None:
        """See `begin`."""
        self.begin()

    @property
    def heads(self) -> tuple[Head, Head]:
        return self.a, self.b

    def close(self) -> None:
        """End every process that the pair started."""
        self._stack.close()

    def say(self, text: str) -> None:
        """Print one line of progress, with the seconds since the pair began."""
        self._say(f"  {time.monotonic() - self._began:7.1f} s  {text}")

    def within(self, *command: str) -> list[str]:
        """Return the command line that runs a command in the client's namespace."""
        return [*self.target.within, *command]

    def _network(self) -> None:
        lines = []
        for name, bridge in BRIDGES.items():
            lines += [f"link add {bridge} type bridge mcast_snooping 0", f"link set {bridge} up"]
            for tap in (f"{side.value}-{name}" for side in Side):
                lines += [f"tuntap add dev {tap} mode tap", f"link set {tap} master {bridge}", f"link set {tap} up"]
        lines.append("address add 10.79.0.1/24 dev lan")
        for line in lines:
            done = subprocess.run(self.within("ip", *line.split()), capture_output=True, timeout=WAIT_S)
            assert done.returncode == 0, f"ip {line}: {done.stderr.decode().strip()}"

    def networks(self, *, up: bool) -> None:
        """Let the controllers hear each other, or not. Their links stay up: only silence shows the difference."""
        for bridge in ("lan", "wire"):
            subprocess.run(self.within("ip", "link", "set", bridge, "up" if up else "down"), check=True, timeout=WAIT_S)

    # Orders ----------------------------------------------------------------------------------------------------------

    def publish(self, **changes: Any) -> None:
        """Publish other orders for both, of the next generation; `changes`: fields of the present orders."""
        self.orders = replace(self.orders, generation=self.orders.generation + 1, **changes)
        assert unsafe(self.orders) == (), unsafe(self.orders)
        for head in self.heads:
            head.publish(self.orders)

    def first_orders(self) -> None:
        """Publish the orders with which the pair began."""
        if replace(self.orders, generation=self._first.generation) != self._first:
            self.orders = replace(self._first, generation=self.orders.generation)
            self.publish()

    def until_followed(self, *heads: Head) -> None:
        """Wait until these daemons follow the present orders."""

        def followed() -> bool:
            found = [head.status() for head in heads or self.heads]
            return all(status is not None and status.orders.here == self.orders.generation for status in found)

        self.until(followed, f"orders of generation {self.orders.generation} are followed")

    # Life ------------------------------------------------------------------------------------------------------------

    def make_pool(self) -> None:
        """Make the pool on a, with filesystems, and export it."""
        places = [f"/dev/disk/by-id/{name}-part1" for name in self.orders.disks]
        kinds = [vdev.name.partition("/")[2].rpartition("-")[0] for vdev in self.orders.vdevs]
        layout = zip(kinds, self.orders.vdevs, strict=True)
        vdevs = [word for kind, vdev in layout for word in (kind, *(places[disk] for disk in vdev.disks))]
        settings = "-o ashift=12 -o cachefile=none -O mountpoint=/tank -O atime=off"
        self.a.machine.check(
            f"zpool create -f {settings} tank {' '.join(vdevs)} && "
            "zfs create tank/home && zfs create tank/records && zpool export tank",
            WAIT_S,
        )

    def begin(self) -> None:
        """Start the pair from nothing. Returns once one is active and the other ready."""
        self.say("booting")
        self.a.power_on()
        self.make_pool()
        self.say("the pool is made")
        self.a.start()
        self.boot(self.b)
        self.say(f"{self.well().side} is active, the other ready")

    def boot(self, *heads: Head) -> None:
        """Switch controllers on, all at once, and start their daemons."""
        for head in heads or self.heads:
            head.launch()
        for head in heads or self.heads:
            head.ready()
        for head in heads or self.heads:
            head.start()

    def make_well(self) -> None:
        """Plug in every cable, publish the first orders, and switch both on."""
        self.networks(up=True)
        self.first_orders()
        if off := [head for head in self.heads if not head.on]:
            self.boot(*off)
        for head in self.heads:
            for nic in range(len(NETWORKS)):
                head.cable(nic, plugged=True)

    def scenario(self, name: str) -> None:
        """Begin a new scenario: everything well, a writer on the active one."""
        self.say(f"--- {name}")
        self.make_well()
        self.write(self.well())

    def until(self, condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
        """Wait for a condition. On timeout, fails with the state of both controllers."""
        end_s = time.monotonic() + timeout_s
        pause = threading.Event()
        while not (result := condition()):
            assert time.monotonic() < end_s, f"in vain for {timeout_s:g} s: {what}\n{self.describe()}"
            pause.wait(0.2)
        return result

    def active(self) -> Head:
        """Wait until exactly one is active and return it."""
        found: list[Head] = []

        def one() -> bool:
            found[:] = [head for head in self.heads if head.phase == "active"]
            return len(found) == 1

        self.until(one, "one active controller")
        return found[0]

    def roles(self) -> tuple[Head, Head, int]:
        """Return the active one, the other, and a mark in the timeline of the latter."""
        old = self.active()
        new = self.other(old)
        return old, new, new.mark()

    def taken_over(self, new: Head, since: int) -> None:
        """Wait until this one has become active since a mark and answers clients; print its timeline."""
        self.until(lambda: new.phase == "active", f"{new.side} takes over")
        self.until(lambda: any(event.mark == "addresses-up" for event in new.events(since)), "addresses")
        self.tell(new, since)

    def kill_daemon(self, active: Head) -> bool:
        """Kill the daemon of the active one. Whether it is active again; if not, the other took over, and it is off.

        The outcome depends on how long the emulated processor takes to start a program.
        """
        new, pid = self.other(active), active.known().pid
        active.daemon("KILL")

        def again() -> bool:
            now = active.status()
            return now is not None and now.pid != pid and now.phase == "active"

        self.until(lambda: new.phase == "active" or again(), "the daemon is active again, or the other controller")
        if new.phase == "standby":
            return True
        self.say(f"{new.side} takes over")
        active.until_off()
        return False

    @contextlib.contextmanager
    def no_failover(self) -> Iterator[None]:
        """Check that neither controller changes its phase or ends within the block."""
        marks = [head.mark() for head in self.heads]
        yield
        events = [event for head, mark in zip(self.heads, marks, strict=True) for event in head.events(mark)]
        assert [event for event in events if event.mark in ("phase", "started")] == [], self.describe()
        assert all(head.on for head in self.heads), self.describe()

    def pass_time(self, duration_s: float) -> None:
        """Wait this long, for a test that nothing happens."""
        end_s = time.monotonic() + duration_s
        self.until(lambda: time.monotonic() >= end_s, "time passes", duration_s + WAIT_S)

    def other(self, head: Head) -> Head:
        return self.b if head is self.a else self.a

    def well(self) -> Head:
        """Wait until one is active and the other is ready to take over; return the active one."""

        def ready() -> Head | None:
            assert all(head.on for head in self.heads), f"one went off\n{self.describe()}"
            for head in self.heads:
                if (head.phase, self.other(head).phase) != ("active", "standby"):
                    continue
                status = head.status()
                # Each look costs an emulated processor a tenth of a second.
                threading.Event().wait(1.0)
                if status is not None and status.peer.phase == "standby" and status.peer.able:
                    return head
            return None

        found: Head = self.until(ready, "one active, the other ready to take over")
        return found

    def describe(self) -> str:
        """Return everything that helps to understand a failure."""
        lines = []
        for head in self.heads:
            raw = head.machine.run("cat /run/hagit/watchdog.json; dmesg | tail -5", 20).out if head.on else ""
            lines += [f"== {head.side}: {'on' if head.on else 'off'}, {head.status() or raw}", head.journal()]
        return "\n".join(lines)

    # Load and check --------------------------------------------------------------------------------------------------

    def write(self, head: Head) -> None:
        """Start a writer there, stop any other one, and wait until `RECORDS_MIN` records are acknowledged."""
        life = next(self._lives)
        self.stop_writing(head)
        head.machine.send(
            head.python("tests.lab.pair.writer", "/tank/records", str(life)) + " > /root/writer 2>&1", 1e6
        )
        self.until(lambda: head.records.said().get(life, 0) > RECORDS_MIN, "acknowledged records")

    def stop_writing(self, head: Head) -> None:
        """End the writer there, if there is one."""
        head.machine.check("pkill -f tests.lab.pair.write[r]; while pgrep -f tests.lab.pair.write[r]; do :; done")

    def said(self) -> dict[int, int]:
        """Return the number of acknowledged records of each writer, on either controller."""
        return {life: count for head in self.heads for life, count in head.records.said().items()}

    def verify(self) -> Head:
        """Check that one is active, has the pool alone and fenced, with every acknowledged record and a clean scrub."""
        head = self.active()
        other = self.other(head)
        if other.on and "tank" in other.pools():
            raise AssertionError(f"two have the pool\n{self.describe()}")
        names = self.orders.disks
        unfenced = complaints(parse(head.machine.check(asking(names))), names, head.side)
        assert unfenced == [], "\n".join([*unfenced, self.describe()])
        self.intact(head)
        return head

    def intact(self, head: Head) -> None:
        """Check that the pool of this one has every acknowledged record, and that a scrub finds no error."""
        said = self.said()
        words = [f"{life}:{count}" for life, count in said.items()]
        checked = head.machine.run(head.python("tests.lab.pair.writer", "/tank/records", "check", *words), WAIT_S)
        assert checked.status == 0, f"{checked.out}{checked.err}\n{self.describe()}"
        head.machine.check("zpool scrub -w tank", WAIT_S)
        status = head.machine.check("zpool status -p tank")
        assert "with 0 errors" in status and "No known data errors" in status, status
        self.say(
            f"{head.side} has the pool and every disk alone; {sum(said.values())} acknowledged records are there; "
            "scrub without errors"
        )

    @contextlib.contextmanager
    def client(self, interval_ms: int = 20) -> Iterator[Client]:
        """Yield a client that pings the virtual address."""
        with pinging(self.within(*prober(VIRTUAL, interval_ms)), interval_ms) as client:
            yield client

    def tell(self, head: Head, since: int) -> None:
        """Print a controller's timeline from a mark on, in its own time since the trigger of the failover."""
        for event in head.events(since):
            if event.mark != "note":
                what = f"{event.old} → {event.new}" if event.mark == "phase" else event.mark
                after = "" if event.since_ms is None else f"{event.since_ms / 1_000:6.2f} s "
                self.say(f"  {head.side} {after}{what}: {event.text}")
