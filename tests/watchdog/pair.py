"""A pair for real: two controllers and a client in network namespaces, real daemons, a shelf by the simulator's model.

    controller a ── net0 ──┐                    ┌── net0 ── controller b
                           ┤ client: bridge lan ├              10.79.0.11, fd79::11
    10.79.0.10             └────────────────────┘
                 ── link0 ──────────────────────── link0 ──   (the interlink)

The virtual addresses are 10.79.0.100 and fd79::100 on net0. A controller is *on* while its power box runs
(`reconciler.demo.deadman`: it kills the daemon and takes pools, addresses and carrier away on every reset); `boot`
switches it on and starts its daemon. Faults have names (`FAULTS`, `Pair.fault`); everything waits on conditions with a
deadline and says in what state it waited in vain.

    pair.boot()                              both on, daemons started
    pair.until_phases(a="active", b="standby")
    with pair.client() as client:            pings the virtual address every few milliseconds
        pair.fault("kill", "a")
        pair.until_phases(b="active")
        client.answered_again(); client.silence_ms
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from reconciler.core.failover.orders.document import orders_document, orders_key
from reconciler.core.failover.orders.orders import (
    Channel,
    ChannelKind,
    Group,
    Orders,
    Timers,
    Vdev,
    VirtualAddress,
)
from reconciler.core.failover.orders.safety_checks import unsafe
from reconciler.core.failover.reservations.key import Side
from reconciler.core.status.watchdog import WatchdogStatus, watchdog_from_document
from reconciler.demo.powered_controller import ShelfControl
from reconciler.system.control import client
from reconciler.system.control_protocol import ControlAnswer, ControlRequest, RequestKind
from reconciler.system.files import read_lines
from tests.wait import DEADLINE_S, Result, until
from tests.watchdog.client import Client, pinging, prober

ROOT: Final = Path(__file__).parent.parent.parent
VIRTUAL4, VIRTUAL6 = "10.79.0.100", "fd79::100"
SECRET: Final = b"a secret of the tests, long enough for every seal"
DISKS: Final = ("disk0", "disk1", "disk2", "disk3")
#: Fast, and safe on a machine with two busy cores: a pause of 400 ms disturbs nobody.
TIMERS: Final = Timers(
    beat_ms=50,
    silence_ms=600,
    record_ms=60,
    stale_ms=700,
    look_ms=60,
    proof_ms=1_500,
    pause_ms=400,
    settle_ms=200,
    claim_ms=4_000,
    import_ms=10_000,
    release_ms=4_000,
    handover_ms=2_000,
    boot_ms=2_000,
    yield_ms=10_000,
    retry_ms=300,
    again_ms=3_000,
    deadman_ms=3_000,
    patience_ms=6_000,
)
#: For tests in which a daemon starts again and nobody may take that for a death, however busy the machine is.
PATIENT: Final = replace(
    TIMERS, silence_ms=8_000, stale_ms=8_000, proof_ms=6_000, deadman_ms=8_000, patience_ms=16_000, yield_ms=15_000
)
#: For tests in which a daemon stands still and is woken: however late that is on a busy machine, its deadman waits.
LENIENT: Final = replace(TIMERS, deadman_ms=12_000, patience_ms=15_000)
ORDERS: Final = Orders(
    pair="tank",
    side=Side.A,
    generation=1,
    controllers=("left", "right"),
    disks=DISKS,
    vdevs=(Vdev("mirror-0", (0, 1), 1), Vdev("mirror-1", (2, 3), 1)),
    arbitration=(0, 1, 2),
    channels=(Channel("link0"), Channel("net0", ChannelKind.CARP)),
    groups=(Group(1, ("net0",)),),
    addresses=(VirtualAddress("net0", f"{VIRTUAL4}/24", 79), VirtualAddress("net0", f"{VIRTUAL6}/64", 79)),
    timers=TIMERS,
)
HOLDER: Final = "ip link set lo up; echo ready; exec cat >/dev/null"


class Room:
    """A network namespace, held open by a process that sleeps."""

    def __init__(self) -> None:
        self.holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", HOLDER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == b"ready\n", "unshare: run the tests as root"

    def enter(self, *command: str) -> list[str]:
        """The command line that runs `command` there."""
        return ["nsenter", f"--target={self.holder.pid}", "--net", "--", *command]

    def ip(self, *commands: str, check: bool = True) -> None:
        """Commands of ip(8), all in one process."""
        argv = self.enter("ip", *([] if check else ["-force"]), "-batch", "-")
        done = subprocess.run(argv, input="\n".join(commands), text=True, capture_output=True, timeout=DEADLINE_S)
        assert not check or done.returncode == 0, done.stderr

    def show(self, *arguments: str) -> Any:
        """What `ip -j` says."""
        done = subprocess.run(self.enter("ip", "-j", *arguments), capture_output=True, check=True, timeout=DEADLINE_S)
        return json.loads(done.stdout or b"[]")

    def close(self) -> None:
        for stream in (self.holder.stdin, self.holder.stdout):
            assert stream is not None
            stream.close()
        self.holder.wait(DEADLINE_S)


@dataclass(slots=True)
class Head:
    """One controller. `daemon` is None while none was started; `starts` counts them."""

    side: Side
    root: Path
    room: Room
    shelf: Path
    address: int
    box: subprocess.Popen[bytes] | None = None
    daemon: subprocess.Popen[bytes] | None = None
    #: The daemon that has taken over from the one that was started; 0 when none has.
    successor: int = 0
    starts: int = 0
    secret: bytes = SECRET
    environment: dict[str, str] = field(default_factory=dict)
    #: Whose daemon it runs: this checkout's, or that of another release.
    tree: Path = ROOT
    #: In memory, as /run is.
    run: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="hagit-", dir="/dev/shm")))

    @property
    def node(self) -> Path:
        return self.root / "node.toml"

    @property
    def state(self) -> Path:
        return self.root / "state"

    def prepare(self) -> None:
        """Directories, secret and node file."""
        self.state.mkdir(parents=True)
        secret = self.root / "secret"
        secret.write_bytes(self.secret)
        secret.chmod(0o600)
        self.node.write_text(
            f'controller = "{self.side.value}"\nstate = "state"\nlisten = false\n[watchdog]\nsecret = "secret"\n'
            f'shelf = "simulated:{self.shelf}"\nrun = "{self.run}"\ndeadman = "deadman.sock"\ngroup = "root"\n'
        )

    def publish(self, orders: Orders) -> None:
        """What the agent does: the orders file, replaced whole."""
        data = orders_document(replace(orders, side=self.side), orders_key(self.secret))
        self.publish_bytes(data)

    def publish_bytes(self, data: bytes) -> None:
        """Whatever bytes as the orders file."""
        made = self.state / ".orders.new"
        made.write_bytes(data)
        made.replace(self.state / "orders.json")

    # Power -----------------------------------------------------------------------------------------------------------

    @property
    def off(self) -> str:
        """What a reset takes away: carrier, every address, and what lies in /run."""
        return (
            "ip link set net0 down; ip link set link0 down; ip address flush dev net0; "
            f"cd '{self.run}' && rm -rf memory orders addresses.json shares serving clients.json simulated-shares"
        )

    def power_on(self) -> None:
        """Power, carrier and static addresses; no daemon yet."""
        assert not self.on, "it is on"
        if self.box is not None and self.box.stdout is not None:
            self.box.stdout.close()
        self.room.ip(
            "link set net0 up",
            "link set link0 up",
            f"address replace 10.79.0.{self.address}/24 dev net0",
            f"address replace fd79::{self.address}/64 dev net0 nodad",
        )
        argv = [sys.executable, "-m", "reconciler.demo.deadman", str(self.root / "deadman.sock"), str(self.shelf)]
        with (self.root / "box.log").open("ab") as log:
            self.box = subprocess.Popen(
                self.room.enter(*argv, self.side.value, "sh", "-c", self.off),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.box.stdout is not None
        assert self.box.stdout.readline() == b"ready\n", (self.root / "box.log").read_text()

    def boot(self) -> None:
        """On, with its daemon."""
        self.power_on()
        self.start()

    def pull_the_plug(self) -> None:
        """Off at once. Waits until it is."""
        assert self.box is not None
        self.box.terminate()
        self.box.wait(DEADLINE_S)

    def until_reset(self, timeout_s: float = DEADLINE_S) -> str:
        """Wait until it was reset; why."""
        assert self.box is not None and self.box.stdout is not None
        until(lambda: self.box is not None and self.box.poll() is not None, lambda: (self.side, self.logs()), timeout_s)
        return self.box.stdout.read().decode().partition("reset: ")[2].strip()

    @property
    def on(self) -> bool:
        return self.box is not None and self.box.poll() is None

    # The daemon ------------------------------------------------------------------------------------------------------

    @property
    def log(self) -> Path:
        return self.root / "watchdog.log"

    def start(self) -> None:
        """Start the daemon; the one before has ended or is about to."""
        if self.daemon is not None:
            self.daemon.wait(DEADLINE_S)
        self.successor = 0
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                self.room.enter(sys.executable, "-m", "reconciler.cli.entry", "watchdog", "--node", str(self.node)),
                cwd=self.tree,
                env={"PATH": os.environ["PATH"], "HOME": str(self.root), "LANG": "C.UTF-8"} | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.starts += 1

    def signal(self, number: int) -> None:
        """A signal to the daemon."""
        assert self.daemon is not None
        if self.successor:
            os.kill(self.successor, number)
        else:
            self.daemon.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        assert self.daemon is not None
        self.daemon.wait(DEADLINE_S)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.signal(signal.SIGTERM)
        assert self.daemon is not None
        return self.daemon.wait(DEADLINE_S)

    def status(self) -> WatchdogStatus | None:
        """What the running daemon published last; None before it has."""
        with contextlib.suppress(FileNotFoundError):
            status = watchdog_from_document(json.loads((self.run / "watchdog.json").read_bytes()))
            assert isinstance(status, WatchdogStatus), status
            if self.daemon is not None and status.pid == (self.successor or self.daemon.pid):
                return status
        return None

    def published(self) -> dict[str, Any]:
        """What any daemon published last."""
        document = json.loads((self.run / "watchdog.json").read_bytes())
        assert isinstance(document, dict)
        return document

    def until_replaced(self, timeout_s: float = DEADLINE_S) -> None:
        """Waits until another daemon has taken over from the one that runs; the tests go on with that one."""
        before = self.pid
        until(lambda: self.published()["pid"] != before, self.logs, timeout_s)
        self.successor = self.published()["pid"]

    @property
    def pid(self) -> int:
        """The process of the running daemon."""
        assert self.daemon is not None
        return self.successor or self.daemon.pid

    @property
    def phase(self) -> str:
        """The phase of the running daemon; empty before it published one."""
        status = self.status()
        return status.phase if status is not None else ""

    def reasons(self) -> set[str]:
        """Codes of the reasons that hold."""
        status = self.status()
        return {reason.code for reason in status.reasons} if status is not None else set()

    def ask(self, kind: RequestKind, **words: Any) -> ControlAnswer:
        """A person's request, over the control socket."""
        return client(self.run / "watchdog.sock", ControlRequest(kind, **words), DEADLINE_S)

    def timeline(self) -> list[dict[str, Any]]:
        """Every line of the timeline."""
        # A line that is being written is not whole yet, and is passed over.
        return read_lines(self.state / "watchdog" / "timeline.jsonl")

    def went(self) -> list[str]:
        """The phases in their order, over all daemons."""
        return [line["new"] for line in self.timeline() if line["mark"] == "phase"]

    def addresses(self) -> set[str]:
        """The addresses on net0."""
        found = [entry for entry in self.room.show("address", "show", "dev", "net0") if entry]
        return {one["local"] for entry in found for one in entry["addr_info"]}

    @property
    def serves(self) -> bool:
        """Whether it has the virtual addresses."""
        return {VIRTUAL4, VIRTUAL6} <= self.addresses()

    def logs(self) -> str:
        texts = [path.read_text() for path in (self.log, self.root / "box.log") if path.exists()]
        return "\n".join(texts)[-6_000:]

    def close(self) -> None:
        if self.successor:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.successor, signal.SIGKILL)
        for process in (self.daemon, self.box):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(DEADLINE_S)
        if self.box is not None and self.box.stdout is not None:
            self.box.stdout.close()
        shutil.rmtree(self.run)


class Pair:
    """Both controllers, the client and the shelf. `shelf` lets disks and pools fail and says what is true."""

    #: What a controller is.
    kind: type[Head] = Head

    def __init__(self, root: Path, orders: Orders = ORDERS, *shelf_options: str) -> None:
        assert unsafe(orders) == (), unsafe(orders)
        self.root, self.orders = root, orders
        root.mkdir(parents=True, exist_ok=True)
        self._stack = contextlib.ExitStack()
        try:
            self._build(shelf_options)
        except BaseException:
            self._stack.close()
            raise

    def _build(self, shelf_options: tuple[str, ...]) -> None:
        path = self.root / "shelf.sock"
        vdevs = [
            word
            for vdev in self.orders.vdevs
            for word in ("--vdev", f"{vdev.name}:{vdev.needed}:{','.join(self.orders.disks[at] for at in vdev.disks)}")
        ]
        arbitration = ",".join(self.orders.disks[at] for at in self.orders.arbitration)
        layout = ["--disks", ",".join(self.orders.disks), *vdevs, "--arbitration", arbitration]
        with (self.root / "shelf.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "reconciler.demo.shelf_server", str(path), *layout, *shelf_options],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._stack.callback(_end, process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", (self.root / "shelf.log").read_text()
        self.shelf = ShelfControl(path)
        self._stack.callback(self.shelf.close)
        self.lan = self._room()
        self.lan.ip(
            "link add lan type bridge",
            "address add 10.79.0.1/24 dev lan",
            "address add fd79::1/64 dev lan nodad",
            "link set lan up",
        )
        rooms = {side: self._room() for side in Side}
        for side, room in rooms.items():
            room.ip(f"link add net0 type veth peer name {side}-net0 netns {self.lan.holder.pid}")
            self.lan.ip(f"link set {side}-net0 master lan up")
        rooms[Side.A].ip(f"link add link0 type veth peer name link0 netns {rooms[Side.B].holder.pid}")
        self.heads = {
            side: self.kind(side, self.root / side.value, rooms[side], path, 11 + number)
            for number, side in enumerate(Side)
        }
        for head in self.heads.values():
            self._stack.callback(head.close)
            head.prepare()
            head.publish(self.orders)

    def _room(self) -> Room:
        room = Room()
        self._stack.callback(room.close)
        return room

    @property
    def a(self) -> Head:
        return self.heads[Side.A]

    @property
    def b(self) -> Head:
        return self.heads[Side.B]

    def boot(self) -> None:
        """Both at once."""
        for head in self.heads.values():
            head.power_on()
        for head in self.heads.values():
            head.start()

    def settle(self) -> None:
        """Boot both and wait until a serves and b could take over.

        The daemon of b comes when a has seen its disks: a busy machine may start them seconds apart, and who says that
        it is not able yet is not waited for.
        """
        for head in self.both():
            head.power_on()
        self.a.start()
        self.until(lambda: self.a.phase not in ("", "booting"))
        self.b.start()
        self.until_phases(a="active", b="standby")
        self.until(lambda: self.a.serves)
        self.until_ready()

    def until_ready(self) -> None:
        """Until the active controller hears from the standby one that it could take over."""

        def ready(head: Head) -> bool:
            status = head.status()
            return status is not None and (status.phase, status.peer.phase, status.peer.able) == (
                "active",
                "standby",
                True,
            )

        self.until(lambda: any(map(ready, self.both())))

    def both(self) -> tuple[Head, Head]:
        return self.a, self.b

    def publish(self, **changes: Any) -> None:
        """New orders to both: the present ones with changes, and the next generation."""
        changes.setdefault("generation", self.orders.generation + 1)
        self.orders = replace(self.orders, **changes)
        for head in self.both():
            head.publish(self.orders)

    def until(self, condition: Callable[[], Result], timeout_s: float = DEADLINE_S) -> Result:
        """Wait, and say in vain what both controllers were."""
        return until(condition, self.describe, timeout_s)

    def until_phases(self, a: str = "", b: str = "", timeout_s: float = DEADLINE_S) -> None:
        """Wait until the controllers named are in these phases at once."""
        wanted = {Side.A: a, Side.B: b}
        self.until(lambda: all(phase in ("", self.heads[side].phase) for side, phase in wanted.items()), timeout_s)

    def describe(self) -> str:
        """Everything one wants to know of a failure."""
        lines = [f"shelf: {self.shelf.state()}"]
        for head in self.both():
            lines += [f"{head.side}: {head.phase} {head.status()}", head.logs()]
        return "\n".join(lines)

    def verify(self) -> None:
        """The shelf's checkers: nothing that must never happen has happened."""
        broken = self.shelf.state()["broken"]
        assert not broken, f"{broken}\n{self.describe()}"

    @contextlib.contextmanager
    def client(self, address: str = VIRTUAL4, interval_ms: int = 10) -> Iterator[Client]:
        """A client that pings."""
        with pinging(self.lan.enter(*prober(address, interval_ms)), interval_ms) as client:
            yield client

    # Faults ----------------------------------------------------------------------------------------------------------

    def fault(self, name: str, *words: str) -> None:
        """Let one happen, by its name in FAULTS; everything else is a fault of the shelf (`demo/control_requests`)."""
        if name in FAULTS:
            FAULTS[name](self, *words)
        else:
            self.shelf.inject(name, *words)

    def head(self, letter: str) -> Head:
        return self.heads[Side(letter)]

    def cut(self, *links: str) -> None:
        """Take the carrier: `link0` at both ends, `a-net0` at the switch, which a sees too."""
        for link in links:
            room, name = (self.lan, link) if "-" in link else (self.a.room, link)
            room.ip(f"link set {name} down")

    def join(self, *links: str) -> None:
        """Give the carrier back."""
        for link in links:
            room, name = (self.lan, link) if "-" in link else (self.a.room, link)
            room.ip(f"link set {name} up")

    def close(self) -> None:
        """End everything that was started."""
        self._stack.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(DEADLINE_S)
    if process.stdout is not None:
        process.stdout.close()


#: name -> what it does. Words: a controller's letter, or a link.
FAULTS: Final[dict[str, Callable[..., None]]] = {
    "kill": lambda pair, letter: pair.head(letter).kill(),
    "pause": lambda pair, letter: pair.head(letter).signal(signal.SIGSTOP),
    "resume": lambda pair, letter: pair.head(letter).signal(signal.SIGCONT),
    "power-off": lambda pair, letter: pair.head(letter).pull_the_plug(),
    "boot": lambda pair, letter: pair.head(letter).boot(),
    "restart": lambda pair, letter: pair.head(letter).start(),
    "cut": lambda pair, *links: pair.cut(*links),
    "join": lambda pair, *links: pair.join(*links),
}
