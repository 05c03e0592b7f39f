"""Random sequences of faults for real pairs: drawn from a seed, played, healed, and held to the invariants.

The faults have the names of the simulator (`simulation/timed/faults`) where it knows them. A controller that is off
boots by itself, a daemon that ended is started again, as machines and systemd do, unless a fault says otherwise. One
pair plays one sequence after the other and must serve, with a standby that could take over, before the next begins.

    python -m tests.watchdog.sequences SEED...      repeats seeds, each on a new pair, and prints their timelines
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final

from reconciler.core.failover.machine.liveness_bound import settled_bound
from reconciler.core.failover.orders.orders import Limits, Timers, Vdev
from reconciler.core.failover.reservations.key import Side
from reconciler.errors import HagitError
from reconciler.simulation.timed.faults import FAULTS as SIMULATED
from reconciler.simulation.timed.swarm import Injection
from reconciler.system.control import client
from reconciler.system.control_protocol import ControlRequest, RequestKind
from tests.wait import DEADLINE_S
from tests.watchdog import history
from tests.watchdog.client import Client
from tests.watchdog.history import Claimed, Moved
from tests.watchdog.pair import ORDERS, ROOT, Head, Pair
from tests.watchdog.wires import Wires

#: As fast as a busy machine with two cores bears.
QUICK: Final = Timers(
    beat_ms=40, silence_ms=500, record_ms=50, stale_ms=700, look_ms=50, proof_ms=600, pause_ms=300, settle_ms=100,
    claim_ms=1_500, import_ms=3_000, release_ms=1_500, handover_ms=700, boot_ms=600, yield_ms=2_200, retry_ms=200,
    again_ms=800, deadman_ms=800, patience_ms=15_000,
)  # fmt: skip
UNLIMITED: Final = Limits(moves=100_000, resets=100_000)
BASE: Final = replace(ORDERS, timers=QUICK, limits=UNLIMITED)
#: Pairs that differ in what decisions depend on; a seed plays on the one at its number.
KINDS: Final = (
    BASE,
    replace(BASE, strict=True),
    replace(BASE, groups=(), default=Side.B, vdevs=(Vdev("raidz", (0, 1, 2), 2), Vdev("log", (3,), 1))),
    replace(BASE, limits=Limits(moves=2, moves_window_ms=12_000, resets=100_000)),
)
FAULTS_MIN, FAULTS_MAX = 3, 7
SPAN_MS: Final = 1_200
LASTS_MS: Final = 450
#: On top of the bound of the orders: interpreters that start on a loaded machine, and the client.
MACHINE_S: Final = 30.0
#: After this a person helps a pair whose budget of moves is used up.
PERSON_S: Final = 2.0
STARTS_AFTER_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Sequence:
    """The faults of one seed, in their order."""

    seed: int
    injections: tuple[Injection, ...]

    @property
    def kind(self) -> int:
        """Which of KINDS it is played on."""
        return self.seed % len(KINDS)

    @property
    def end_ms(self) -> int:
        """When everything heals."""
        return max(injection.at_ms + injection.lasts_ms for injection in self.injections)

    def __str__(self) -> str:
        return "\n".join(map(str, self.injections))


def draw(seed: int) -> Sequence:
    """The sequence of a seed."""
    chance, orders = Random(seed), KINDS[seed % len(KINDS)]
    words = {
        "side": ("a", "b"),
        "channel": tuple(channel.name for channel in orders.channels),
        "interface": ("net0",),
        "disk": orders.disks,
        "ms": ("50", "150", "400"),
    }
    injections = []
    for _ in range(chance.randint(FAULTS_MIN, FAULTS_MAX)):
        name = chance.choice(DRAWN)
        takes = SIMULATED[name].takes if name in SIMULATED else ("side",)
        chosen = tuple(chance.choice(words[kind]) for kind in takes)
        lasts_ms = int(min(chance.expovariate(1 / LASTS_MS), 3 * LASTS_MS))
        injections.append(Injection(int(chance.random() * SPAN_MS), name, chosen, lasts_ms))
    return Sequence(seed, tuple(sorted(injections, key=lambda one: one.at_ms)))


class Failed(AssertionError):
    """An invariant broke, or service did not come back; the message is the whole account."""


@dataclass(slots=True)
class Stage:
    """One pair that plays. `off`, `dead`: sides that a fault keeps without power or without a daemon."""

    pair: Pair
    wires: Wires
    off: set[Side] = field(default_factory=set)
    held: dict[Side, list[int]] = field(default_factory=dict)
    shelf_faults: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    flapping: dict[str, tuple[float, float, bool]] = field(default_factory=dict)
    ended_s: dict[Side, float] = field(default_factory=dict)
    answers: list[tuple[float, str]] = field(default_factory=list)
    disabled: list[tuple[float, float]] = field(default_factory=list)
    disabled_s: float | None = None

    # What machines do by themselves ----------------------------------------------------------------------------------

    def supervise(self) -> None:
        """Boot what is off, start what has ended, move loose contacts."""
        now_s = time.monotonic()
        for side, head in self.pair.heads.items():
            up = head.on and head.daemon is not None and head.daemon.poll() is None
            if up:
                self.ended_s.pop(side, None)
                continue
            if side in self.off or now_s - self.ended_s.setdefault(side, now_s) < STARTS_AFTER_S:
                continue
            if not head.on:
                self.held.pop(side, None)
                bury(head)
                head.power_on()
            head.start()
        for channel, (interval_s, next_s, cut) in tuple(self.flapping.items()):
            if now_s >= next_s:
                self.flapping[channel] = (interval_s, now_s + interval_s, not cut)
                if cut:
                    self.wires.heal(channel)
                else:
                    self.wires.both(channel, "cut")

    def wait(self, until_s: float) -> None:
        """Let time pass until a moment, while machines do what they do."""
        pause = threading.Event()
        while (left_s := until_s - time.monotonic()) > 0:
            self.supervise()
            pause.wait(min(0.01, left_s))

    # Faults ----------------------------------------------------------------------------------------------------------

    def inject(self, name: str, words: tuple[str, ...]) -> None:
        """Let a fault happen."""
        if name in OWN:
            OWN[name][0](self, *words)
        else:
            self.pair.shelf.inject(name, *words)
            self.shelf_faults.append((name, words))

    def heal(self, name: str, words: tuple[str, ...]) -> None:
        """Undo it, if it can be undone."""
        if name not in OWN:
            self.pair.shelf.heal(name, *words)
        elif (undo := OWN[name][1]) is not None:
            undo(self, *words)

    def heal_everything(self) -> None:
        """All is well from now on; orders are the same on both sides and enabled."""
        self.flapping.clear()
        self.wires.heal()
        for name, words in self.shelf_faults:
            self.pair.shelf.heal(name, *words)
        self.shelf_faults.clear()
        if self.down:
            self.pair.join(*self.down)
            self.down.clear()
        for side in Side:
            self.go_on(side)
        self.off.clear()
        self.enable()

    def hold(self, side: Side, *, machine: bool) -> None:
        """Stop the daemon, and with `machine` everything of it."""
        head = self.pair.heads[side]
        if head.daemon is None or head.daemon.poll() is not None:
            return
        pids = [head.daemon.pid, *(descendants(head.daemon.pid) if machine else ())]
        for pid in pids:
            strike(pid, signal.SIGSTOP)
        self.held.setdefault(side, []).extend(pids)

    def go_on(self, side: Side) -> None:
        """What was stopped runs again."""
        for pid in self.held.pop(side, ()):
            strike(pid, signal.SIGCONT)

    def kill(self, side: Side) -> None:
        """SIGKILL for the daemon, stopped or not."""
        self.held.pop(side, None)
        bury(self.pair.heads[side])

    def power_off(self, side: Side) -> None:
        """No power until something heals."""
        self.off.add(side)
        if self.pair.heads[side].on:
            self.pair.heads[side].pull_the_plug()

    def carrier(self, port: str, *, up: bool) -> None:
        """A port of the switch."""
        if up:
            self.pair.join(port)
            self.down.discard(port)
        else:
            self.pair.cut(port)
            self.down.add(port)

    def signal_worker(self, side: Side, name: str, number: int) -> None:
        """A signal to one kind of child of the daemon."""
        head = self.pair.heads[side]
        for pid in descendants(head.daemon.pid) if head.daemon is not None and head.daemon.poll() is None else ():
            if called(pid).startswith(f"hagit-{name}"):
                strike(pid, number)
                if number == signal.SIGSTOP:
                    self.held.setdefault(side, []).append(pid)

    def ask(self, side: Side, kind: RequestKind, **words: Any) -> None:
        """A person asks, if a daemon is there to hear it."""
        head = self.pair.heads[side]
        if head.status() is not None and side not in self.held:
            with contextlib.suppress(HagitError, OSError):
                client(head.run / "watchdog.sock", ControlRequest(kind, **words), 2.0)

    def publish(self, sides: tuple[Side, ...] = tuple(Side), **changes: Any) -> None:
        """New orders of the next generation to some sides."""
        self.pair.orders = replace(self.pair.orders, generation=self.pair.orders.generation + 1, **changes)
        for side in sides:
            self.pair.heads[side].publish(self.pair.orders)

    def enable(self) -> None:
        """Orders that are the same on both sides and let them move."""
        if self.disabled_s is not None:
            self.disabled.append((self.disabled_s, time.monotonic()))
            self.disabled_s = None
        self.publish(enabled=True)

    def disable(self) -> None:
        """No failover; counts from the moment that both daemons know."""
        self.publish(enabled=False)
        end_s, generation = time.monotonic() + 1.5, self.pair.orders.generation
        while time.monotonic() < end_s:
            self.wait(time.monotonic() + 0.01)
            known = [head.status() for head in self.pair.both()]
            if all(status is not None and status.orders.here == generation for status in known):
                self.disabled_s = time.monotonic()
                return

    def contradict(self) -> None:
        """Two orders of one generation."""
        self.publish(sides=(Side.A,))
        other = replace(self.pair.orders, timers=replace(self.pair.orders.timers, retry_ms=QUICK.retry_ms + 1))
        self.pair.b.publish(other)

    def old_orders(self, side: Side) -> None:
        """An older generation comes back."""
        self.pair.heads[side].publish(replace(self.pair.orders, generation=max(1, self.pair.orders.generation - 3)))

    def amnesia(self, side: Side) -> None:
        """The daemon is killed and what it remembered in /run is lost."""
        self.kill(side)
        (self.pair.heads[side].run / "memory").unlink(missing_ok=True)

    def replay(self) -> None:
        """Everything that was recorded, again."""
        for channel in self.pair.orders.channels:
            for side in Side:
                self.wires.player(channel.name, side).tell("replay")

    def delay(self, channel: str) -> None:
        for side in Side:
            self.wires.delay(channel, side, 300)


def strike(pid: int, number: int) -> None:
    """A signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def bury(head: Head) -> None:
    """No daemon of this controller runs any more."""
    if head.daemon is not None and head.daemon.poll() is None:
        head.daemon.kill()
        head.daemon.wait(DEADLINE_S)


def descendants(pid: int) -> list[int]:
    """Children and their children."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for word in task.read_text().split():
                found += [int(word), *descendants(int(word))]
    return found


def called(pid: int) -> str:
    """What a process calls itself."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _flap(stage: Stage, channel: str, ms: str) -> None:
    stage.flapping[channel] = (max(0.02, int(ms) / 1_000), time.monotonic(), False)


def _unflap(stage: Stage, channel: str, _: str) -> None:
    stage.flapping.pop(channel, None)
    stage.wires.heal(channel)


def _all_cables(stage: Stage) -> None:
    for channel in stage.pair.orders.channels:
        stage.wires.both(channel.name, "cut")


def _ports(stage: Stage, *, up: bool) -> None:
    for side in Side:
        stage.carrier(f"{side}-net0", up=up)


def _panic(stage: Stage, letter: str) -> None:
    stage.power_off(Side(letter))
    _powered(stage, letter)


def _no_power(stage: Stage) -> None:
    for side in Side:
        stage.power_off(side)


def _switchover(stage: Stage) -> None:
    for side in Side:
        stage.ask(side, RequestKind.SWITCHOVER)


def _powered(stage: Stage, *letters: str) -> None:
    stage.off.difference_update(map(Side, letters))


Deed = Callable[..., None]
#: name -> what it does, what undoes it. Everything else is a fault of the shelf.
OWN: Final[dict[str, tuple[Deed, Deed | None]]] = {
    "cable-pull": (lambda stage, channel: stage.wires.both(channel, "cut"), lambda stage, one: stage.wires.heal(one)),
    "one-way": (
        lambda stage, channel, letter: stage.wires.set(channel, Side(letter), "cut"),
        lambda stage, channel, _: stage.wires.heal(channel),
    ),
    "loss": (lambda stage, channel: stage.wires.both(channel, "loss"), lambda stage, one: stage.wires.heal(one)),
    "duplicate": (lambda stage, one: stage.wires.both(one, "duplicate"), lambda stage, one: stage.wires.heal(one)),
    "delay": (lambda stage, channel: stage.delay(channel), lambda stage, channel: stage.wires.heal(channel)),
    "flap": (_flap, _unflap),
    "replay": (lambda stage: stage.replay(), None),
    "all-cables": (_all_cables, lambda stage: stage.wires.heal()),
    "nic-down": (
        lambda stage, letter, name: stage.carrier(f"{letter}-{name}", up=False),
        lambda stage, letter, name: stage.carrier(f"{letter}-{name}", up=True),
    ),
    "switch-reboot": (lambda stage: _ports(stage, up=False), lambda stage: _ports(stage, up=True)),
    "power-loss": (lambda stage, letter: stage.power_off(Side(letter)), _powered),
    "power-loss-both": (_no_power, lambda stage: _powered(stage, "a", "b")),
    "panic": (_panic, None),
    "freeze": (
        lambda stage, letter: stage.hold(Side(letter), machine=True),
        lambda stage, letter: stage.go_on(Side(letter)),
    ),
    "daemon-killed": (lambda stage, letter: stage.kill(Side(letter)), None),
    "daemon-amnesia": (lambda stage, letter: stage.amnesia(Side(letter)), None),
    "daemon-paused": (
        lambda stage, letter: stage.hold(Side(letter), machine=False),
        lambda stage, letter: stage.go_on(Side(letter)),
    ),
    "claim-hangs": (
        lambda stage, letter: stage.signal_worker(Side(letter), "claim", signal.SIGSTOP),
        lambda stage, letter: stage.go_on(Side(letter)),
    ),
    "claim-killed": (lambda stage, letter: stage.signal_worker(Side(letter), "claim", signal.SIGKILL), None),
    # The simulator has no children but claims.
    "workers-killed": (lambda stage, letter: stage.signal_worker(Side(letter), "", signal.SIGKILL), None),
    "disk-monitor-stopped": (
        lambda stage, letter: stage.signal_worker(Side(letter), "disks", signal.SIGSTOP),
        lambda stage, letter: stage.go_on(Side(letter)),
    ),
    "switchover": (_switchover, None),
    "force": (
        lambda stage, letter: stage.ask(
            Side(letter), RequestKind.FORCE_ACTIVATE, word=stage.pair.orders.controller(Side(letter))
        ),
        None,
    ),
    "maintenance": (
        lambda stage, letter, ms: stage.ask(Side(letter), RequestKind.MAINTENANCE, duration_ms=int(ms)),
        lambda stage, letter, _: stage.ask(Side(letter), RequestKind.RELENT),
    ),
    "disable": (lambda stage: stage.disable(), lambda stage: stage.enable()),
    "disable-here": (
        lambda stage, letter: stage.publish(sides=(Side(letter),), enabled=False),
        lambda stage, _: stage.enable(),
    ),
    "orders-contradict": (lambda stage: stage.contradict(), lambda stage: stage.enable()),
    "orders-lag": (lambda stage, letter: stage.publish(sides=(Side(letter),)), lambda stage, _: stage.enable()),
    "orders-old": (lambda stage, letter: stage.old_orders(Side(letter)), lambda stage, _: stage.enable()),
}
SHELF: Final = (
    "disk-gone", "path-lost", "disks-lost", "shelf-power-cycle", "disk-hangs", "disk-slow", "disk-refuses", "attention",
    "import-hangs", "import-refused", "export-hangs", "pools-hang", "pools-unknown", "export-by-hand",
)  # fmt: skip
DRAWN: Final = tuple(sorted((*OWN, *SHELF)))


@dataclass(slots=True)
class Player:
    """Plays sequences on one pair of one kind, one after the other."""

    stage: Stage
    client: Client
    played: list[int] = field(default_factory=list)

    @property
    def pair(self) -> Pair:
        return self.stage.pair

    def play(self, sequence: Sequence) -> None:
        """One sequence: faults, healing, service, and what must never have happened. Raises Failed."""
        begun_s = time.monotonic()
        self.played.append(sequence.seed)
        before = {head.side: len(head.timeline()) for head in self.pair.both()}
        events = [(one.at_ms, self.stage.inject, one) for one in sequence.injections]
        events += [(one.at_ms + one.lasts_ms, self.stage.heal, one) for one in sequence.injections]
        try:
            for at_ms, act, one in sorted(events, key=lambda event: event[0]):
                self.stage.wait(begun_s + at_ms / 1_000)
                act(one.name, one.words)
            self._recover()
        except AssertionError as error:
            raise Failed(self._account(sequence, [str(error)], before, begun_s)) from error
        wrong = list(self._wrong(before, begun_s))
        if wrong:
            raise Failed(self._account(sequence, wrong, before, begun_s))

    def _recover(self) -> None:
        """Heal, and wait for service and for a standby that could take over."""
        self.stage.heal_everything()
        limited = self.pair.orders.limits != UNLIMITED
        begun_s = time.monotonic()
        deadline_s = begun_s + settled_bound(self.pair.orders).total_ms / 1_000 + MACHINE_S
        for side in Side:
            self.stage.ask(side, RequestKind.RELENT)
        relent_s, acknowledged = begun_s + 0.5, int(self.pair.shelf.state()["acknowledged"])
        while not self._served(begun_s, acknowledged, limited=limited):
            now_s = time.monotonic()
            assert now_s < deadline_s, f"no service {now_s - begun_s:.1f} s after everything healed"
            assert not self.pair.shelf.state()["broken"], "broken"
            self.stage.wait(now_s + 0.02)
            if now_s > relent_s:
                # Whoever booted since has forgotten nothing of its maintenance.
                relent_s = now_s + 1.0
                for side, head in self.pair.heads.items():
                    if {"MAINTENANCE", "HELD_BACK"} & head.reasons():
                        self.stage.ask(side, RequestKind.RELENT)
                if limited and now_s - begun_s > PERSON_S:
                    self._help()

    def _help(self) -> None:
        """A person asks a standby of a pair that may not move by itself any more."""
        if any(head.phase in ("active", "importing", "claiming") for head in self.pair.both()):
            return
        for side, head in self.pair.heads.items():
            if head.phase == "standby" and "FLAPPING" in head.reasons():
                self.stage.ask(side, RequestKind.FORCE_ACTIVATE, word=self.pair.orders.controller(side))
                return

    def _served(self, since_s: float, acknowledged: int, *, limited: bool) -> bool:
        status = [head.status() for head in self.pair.both()]
        if any(one is None for one in status) or not all(head.on for head in self.pair.both()):
            return False
        phases = sorted(one.phase for one in status if one is not None)
        orders = all(one is not None and one.orders.equal for one in status)
        able = limited or any(one is not None and one.phase == "standby" and one.able for one in status)
        if phases != ["active", "standby"] or not (orders and able and self.client.answered_since(since_s)):
            return False
        return int(self.pair.shelf.state()["acknowledged"]) > acknowledged

    # What was wrong --------------------------------------------------------------------------------------------------

    def moves(self, before: dict[Side, int]) -> list[Moved]:
        """The changes of phase since."""
        return sorted(
            (
                Moved(line["mono_ms"], head.side.value, line["old"], line["new"], line["code"])
                for head in self.pair.both()
                for line in head.timeline()[before.get(head.side, 0) :]
                if line["mark"] == "phase"
            ),
            key=lambda move: move.at_ms,
        )

    def claims(self, since_s: float) -> list[Claimed]:
        """The claims since, by the clock of everybody."""
        state = self.pair.shelf.state()
        begun_ms = time.monotonic() * 1_000 - state["now_ms"]
        found = (
            Claimed(begun_ms + at_ms, side, age_ms, kept_ms) for at_ms, side, _, age_ms, kept_ms in state["claims"]
        )
        return [claim for claim in found if claim.at_ms >= since_s * 1_000]

    def _wrong(self, before: dict[Side, int], begun_s: float) -> Iterator[str]:
        orders, moves = self.pair.orders, self.moves(before)
        broken = self.pair.shelf.state()["broken"]
        if broken:
            yield broken
        yield from history.two_answers(tuple(self.stage.answers), orders)
        self.stage.answers.clear()
        yield from history.needless(self.claims(begun_s), moves, orders)
        yield from history.disabled(moves, [(a_s * 1_000, b_s * 1_000) for a_s, b_s in self.stage.disabled])
        yield from history.budget(self.moves({}), orders)
        for head in self.pair.both():
            log = head.log.read_text()
            if "Traceback" in log or "ends in this state" in log:
                yield f"the daemon of {head.side} ended with an error"

    def _account(self, sequence: Sequence, wrong: list[str], before: dict[Side, int], begun_s: float) -> str:
        lines = [f"seed {sequence.seed}: {'; '.join(wrong)}", "faults:", *(f"  {one}" for one in sequence.injections)]
        lines += ["timeline (ms since the sequence began):"]
        events = []
        for head in self.pair.both():
            for line in head.timeline()[before[head.side] :]:
                words = f"{line['mark']} {line['old']} -> {line['new']} {line['code']} {line['evidence']}"
                events.append((line["mono_ms"] - begun_s * 1_000, head.side.value, words))
        state = self.pair.shelf.state()
        since_ms = state["now_ms"] - (time.monotonic() - begun_s) * 1_000
        events += [(at_ms - since_ms, f"shelf {who}", text) for at_ms, who, text in self.pair.shelf.history()]
        lines += [f"  {at_ms:9.0f}  {who:8} {text}" for at_ms, who, text in sorted(events) if at_ms > -100]
        lines += [self.pair.describe()]
        lines += [f"before it: {self.played[:-1]}", f"again: python -m tests.watchdog.sequences {sequence.seed}"]
        return "\n".join(lines)


@contextlib.contextmanager
def player(root: Path, kind: int) -> Iterator[Player]:
    """A pair of this kind, serving."""
    with contextlib.ExitStack() as stack:
        pair = Pair(root, KINDS[kind], "--import-ms", "20-60", "--export-ms", "10-30", "--command-ms", "1-4")
        stack.callback(pair.close)
        wires = Wires(pair)
        stack.callback(wires.close)
        stage = Stage(pair, wires)
        stack.enter_context(_witness(pair, stage))
        made = Player(stage, stack.enter_context(pair.client(interval_ms=20)))
        pair.boot()
        made._recover()
        yield made


@contextlib.contextmanager
def _witness(pair: Pair, stage: Stage) -> Iterator[None]:
    """Somebody who asks all the time who has the virtual address, and keeps the answers."""
    process = subprocess.Popen(
        pair.lan.enter(sys.executable, "-m", "tests.watchdog.witness", "lan", "10.79.0.1", "10.79.0.100", "40"),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            at_s, mac = line.split()
            stage.answers.append((float(at_s) * 1_000, mac))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield
    finally:
        process.stdin.close()
        process.wait(DEADLINE_S)
        reader.join(DEADLINE_S)
        process.stdout.close()


def main() -> int:
    """Repeat seeds."""
    for word in sys.argv[1:]:
        sequence = draw(int(word))
        print(f"seed {sequence.seed}, kind {sequence.kind}\n{sequence}", flush=True)
        with tempfile.TemporaryDirectory() as root, player(Path(root), sequence.kind) as made:
            begun_s = time.monotonic()
            before = {head.side: len(head.timeline()) for head in made.pair.both()}
            made.play(sequence)
            for move in made.moves(before):
                print(f"  {move.at_ms - begun_s * 1_000:8.0f}  {move.side} {move.old} -> {move.new}: {move.code}")
            print(f"served after {time.monotonic() - begun_s:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
