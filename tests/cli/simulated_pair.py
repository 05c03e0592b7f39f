"""A simulated pair behind real control sockets: real core states, published as a daemon does, faster than real time.

Two controllers of one simulated world; a thread lets its time pass, publishes what each knows and answers requests by
asking the core. What a command sees is therefore what the core decides.
"""

from __future__ import annotations

import json
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from reconciler.cli.application import run
from reconciler.core.failover.machine.events import Asked
from reconciler.core.failover.machine.events import Request as Wish
from reconciler.core.failover.reservations.key import Side
from reconciler.core.status.timeline import EventMark, TimelineEvent, event_document, summaries
from reconciler.core.status.watchdog import WatchdogStatus, watchdog_document
from reconciler.simulation.timed.world import World
from reconciler.system.clock import monotonic_s
from reconciler.system.control import ControlServer
from reconciler.system.control_protocol import ControlAnswer, ControlRequest, RequestKind
from reconciler.system.files import append_line, write_json
from tests.controller import Controller, Done
from tests.standings import BOOT, standing_of, told

#: Simulated milliseconds that pass in one turn, and the real pause after it.
STEP_MS: Final = 50
TURN_S: Final = 0.005
WISHES: Final = {
    RequestKind.SWITCHOVER: Wish.SWITCHOVER,
    RequestKind.DRILL: Wish.SWITCHOVER,
    RequestKind.FORCE_ACTIVATE: Wish.FORCE,
    RequestKind.MAINTENANCE: Wish.MAINTENANCE,
    RequestKind.OVERRIDE: Wish.MAINTENANCE,
    RequestKind.RELENT: Wish.RELENT,
}


class SimulatedDaemon:
    """The daemon of one controller: its directories, its socket, the events that it has published."""

    def __init__(self, world: World, side: str, root: Path) -> None:
        self.world, self.side, self.run, self.state = world, side, root / "run", root / "state"
        self.run.mkdir(parents=True)
        (self.state / "watchdog").mkdir(parents=True)
        self.events: list[TimelineEvent] = []
        self.asked: list[ControlRequest] = []
        self.phase = ""
        self.since_ms = 0
        self.peer = ""
        self.changes: dict[str, Any] = {}
        self.silent = False
        self.server = ControlServer(self.run / "watchdog.sock", None, self.answer)

    def status(self) -> WatchdogStatus:
        """What a daemon would publish now."""
        status = standing_of(self.world, self.side, **({"done": summaries(self.events)} | self.changes))
        return replace(status, since_ms=self.since_ms)

    def answer(self, request: ControlRequest) -> ControlAnswer:
        """What the core says."""
        self.asked.append(request)
        if request.kind is RequestKind.STATUS:
            return ControlAnswer(True, document={"status": watchdog_document(self.status())})
        controller = self.world.controller(Side(self.side))
        core = controller.core
        assert core is not None
        if request.kind is RequestKind.FORCE_ACTIVATE and request.word != core.orders.controller(core.orders.side):
            return ControlAnswer(False, "WORD", "the word is the name of this controller")
        if request.kind is RequestKind.DRILL:
            self.note(EventMark.DRILL, evidence=request.note)
        controller.told(Asked(WISHES[request.kind], 0 if request.end else request.duration_ms))
        refused = controller.core.refused if controller.core is not None else None
        self.watch()
        self.publish()
        if refused is not None:
            return ControlAnswer(False, refused.code.name, str(refused))
        return ControlAnswer(True, "ACCEPTED", "so be it")

    def note(self, mark: EventMark, *, evidence: str = "", **more: str) -> None:
        """A line of the timeline, in simulated milliseconds."""
        event = TimelineEvent(
            at="2026-11-22T03:14:15.926Z", mono_ms=self.world.now_ms, boot=BOOT, mark=mark.value, evidence=evidence,
            **more,
        )  # type: ignore[arg-type]  # fmt: skip
        self.events.append(event)
        append_line(self.state / "watchdog" / "timeline.jsonl", event_document(event))

    def watch(self) -> None:
        """Note what has changed."""
        core = self.world.controller(Side(self.side)).core
        if core is None:
            return
        if core.phase.value != self.phase:
            why = core.why
            self.since_ms = int(monotonic_s() * 1_000)
            if self.phase:
                self.note(
                    EventMark.PHASE,
                    old=self.phase,
                    new=core.phase.value,
                    code=why.code.name,
                    text=why.code.value,
                    evidence=why.evidence,
                )
            self.phase = core.phase.value
            if self.phase == "active":
                self.note(EventMark.ADDRESSES_UP)
        peer = core.peer.beat.phase.value if core.peer.beat else ""
        if peer != self.peer and peer == "active":
            self.note(EventMark.PEER_ACTIVE)
        self.peer = peer

    def publish(self) -> None:
        """Write the document, unless this daemon is to look dead."""
        if not self.silent and self.world.controller(Side(self.side)).core is not None:
            write_json(self.run / "watchdog.json", watchdog_document(self.status()), sync=False)


class SimulatedPair:
    """Both daemons, and the thread in which their time passes. `root/a` and `root/b` hold their directories."""

    def __init__(self, root: Path, *lines: str, until: str = "20s") -> None:
        self.world = told(*lines, until=until)
        self.daemons = {side: SimulatedDaemon(self.world, side, root / side) for side in "ab"}
        self._near, self._far = socket.socketpair()
        self._orders: list[Callable[[World], None]] = []
        self._ended: list[tuple[str, threading.Event]] = []
        self._turn()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def happen(self, what: Callable[[World], None]) -> None:
        """Let something happen to the world, in its own thread."""
        self._orders.append(what)

    def stop(self, side: str) -> None:
        """The daemon of one controller ends: its socket is gone, its last status stays."""
        gone = threading.Event()
        self._ended.append((side, gone))
        assert gone.wait(10)

    def _loop(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._near, selectors.EVENT_READ)
            for daemon in self.daemons.values():
                selector.register(daemon.server, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select(TURN_S)}
                if self._near in ready:
                    return
                while self._orders:
                    self._orders.pop(0)(self.world)
                while self._ended:
                    side, gone = self._ended.pop()
                    selector.unregister(self.daemons[side].server)
                    self.daemons[side].server.close()
                    self.daemons[side].silent = True
                    gone.set()
                for daemon in self.daemons.values():
                    if daemon.server in ready and not daemon.silent:
                        daemon.server.serve()
                self._turn()

    def _turn(self) -> None:
        for _ in range(STEP_MS // 10):
            self.world.run(self.world.now_ms + 10)
            for daemon in self.daemons.values():
                daemon.watch()
        for daemon in self.daemons.values():
            daemon.publish()

    def close(self) -> None:
        """End the thread and the servers."""
        self._far.send(b"!")
        self._thread.join(10)
        for daemon in self.daemons.values():
            if not daemon.silent:
                daemon.server.close()
        self._near.close()
        self._far.close()


def node_file(root: Path, side: str) -> Path:
    """The node file of one controller of the pair at `root`."""
    path = root / side / "node.toml"
    path.write_text(
        f'controller = "{side}"\nstate = "state"\nlisten = false\n'
        '[watchdog]\nsecret = "secret"\nshelf = "simulated:/nowhere"\nrun = "run"\ndeadman = false\n'
    )
    return path


def document(path: Path) -> Any:
    """What a file holds."""
    return json.loads(path.read_bytes())


def use_node_of(controller: Controller, side: str, root: Path) -> None:
    """Give the controller of a test the node file of one of the pair."""
    controller.node.write_text(node_file(root, side).read_text().replace('"state"', f'"{root / side / "state"}"')
                               .replace('"run"', f'"{root / side / "run"}"'))  # fmt: skip


class PairOperator:
    """Types commands on one controller or the other."""

    def __init__(self, pair: SimulatedPair, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.pair, self.root, self._capsys = pair, root, capsys
        self.nodes = {side: node_file(root, side) for side in "ab"}

    def hagit(self, side: str, *words: str) -> Done:
        code = run([words[0], "--node", str(self.nodes[side]), *words[1:]])
        shown = self._capsys.readouterr()
        return Done(code, shown.out, shown.err)


#: Makes the operator of a simulated pair, given the lines of a story.
MakeOperator = Callable[..., PairOperator]
