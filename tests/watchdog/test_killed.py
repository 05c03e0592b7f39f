"""A daemon is killed, or stopped and woken much later, in each phase; the pair serves again, no write is lost.

The shelf holds a phase for as long as a test needs it: a disk that is slow holds a claim, an import or export that
hangs holds the owner. Daemons that end are started again, machines that were reset boot, as they would. Most of it is
waiting, so the phases of a test are played on pairs side by side.
"""

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from reconciler.core.failover.orders.orders import Timers
from reconciler.core.failover.reservations.key import Side
from reconciler.system.control_protocol import RequestKind
from tests.watchdog.pair import ORDERS, PATIENT, TIMERS, Pair
from tests.watchdog.sequences import Stage, bury
from tests.watchdog.test_decisions import codes
from tests.watchdog.wires import Wires

#: Resets and starts alone are what these tests wait for.
BRISK = replace(TIMERS, proof_ms=800, deadman_ms=1_000, claim_ms=2_000, boot_ms=600, yield_ms=2_700)
AT_ONCE = 3
OWNERS = ("importing", "active", "releasing")
PHASES = ("booting", "standby", "claiming", *OWNERS)


class Scene:
    """A pair whose controller `victim` stands in a phase, and the fault that keeps it there."""

    def __init__(self, pair: Pair, phase: str) -> None:
        self.pair, self.stage = pair, Stage(pair, Wires(pair))
        self.victim = pair.a if phase in ("active", "releasing") else pair.b
        self.holding: tuple[str, ...] = ()
        match phase:
            case "booting":
                self.hold("pools-unknown", "b")
                pair.boot()
            case "standby" | "active":
                pair.settle()
            case "claiming":
                pair.settle()
                # Commands of the claim wait for it one after the other, a look does not.
                self.hold("disk-slow", "disk3", "300")
                self.stage.power_off(Side.A)
                pair.until(lambda: "b" in [claim[1] for claim in pair.shelf.state()["claims"]])
            case "importing":
                pair.settle()
                self.hold("import-hangs", "b")
                self.stage.power_off(Side.A)
            case "releasing":
                pair.settle()
                self.hold("export-hangs", "a")
                assert pair.a.ask(RequestKind.SWITCHOVER).accepted
        pair.until(lambda: self.victim.phase == phase)

    def hold(self, *fault: str) -> None:
        """Let a fault of the shelf keep the phase."""
        self.holding = fault
        self.pair.shelf.inject(*fault)

    def release(self) -> None:
        """The fault is over."""
        if self.holding:
            self.pair.shelf.heal(*self.holding)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait, and start meanwhile what ended or was reset, as systemd and machines do."""

        def turn() -> bool:
            self.stage.supervise()
            return condition()

        self.pair.until(turn)

    def until_served(self) -> None:
        """Wait until clients are answered and their writes taken."""
        acknowledged = self.pair.shelf.state()["acknowledged"]
        with self.pair.client() as client:
            begun_s = client.mark()
            self.until(
                lambda: client.answered_since(begun_s) and self.pair.shelf.state()["acknowledged"] > acknowledged
            )

    def until_whole(self) -> None:
        """Everybody has power; wait until a standby could take over."""
        self.stage.off.clear()
        self.until(lambda: sorted(head.phase for head in self.pair.both()) == ["active", "standby"])
        self.pair.until_ready()


def play(root: Path, phases: tuple[str, ...], timers: Timers, deed: Callable[[Scene, str], None]) -> None:
    """The same deed in each of these phases."""

    def alone(phase: str) -> None:
        pair = Pair(root / phase, replace(ORDERS, timers=timers))
        with closing(pair):
            scene = Scene(pair, phase)
            deed(scene, phase)
            scene.until_served()
            scene.until_whole()
            went_on(scene, phase, deed)
            pair.verify()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        played = {phase: pool.submit(alone, phase) for phase in phases}
    failed = {phase: str(error) for phase, done in played.items() if (error := done.exception()) is not None}
    assert not failed, "\n\n".join(f"{phase}: {error}" for phase, error in failed.items())


def kill(scene: Scene, phase: str) -> None:
    """SIGKILL, and a new daemon at once."""
    bury(scene.victim)
    scene.victim.start()
    scene.until(lambda: scene.victim.phase == phase or (phase not in OWNERS and scene.victim.phase != ""))
    scene.release()


def stop(scene: Scene, phase: str) -> None:
    """SIGSTOP beyond every bound."""
    scene.victim.signal(signal.SIGSTOP)
    if phase == "booting":
        # Nothing was fed yet, so nothing resets it: it is woken, and looks before it acts.
        let_pass(scene, 2 * (BRISK.proof_ms + BRISK.deadman_ms))
        scene.victim.signal(signal.SIGCONT)
    else:
        assert scene.victim.until_reset() == "the deadman was not fed"
    scene.release()


def doze(scene: Scene, phase: str) -> None:
    """SIGSTOP for longer than the longest pause of the orders and shorter than the deadman, then SIGCONT."""
    scene.victim.signal(signal.SIGSTOP)
    let_pass(scene, 3 * BRISK.pause_ms)
    scene.victim.signal(signal.SIGCONT)
    scene.release()


def let_pass(scene: Scene, ms: int) -> None:
    """Wait for a moment of the clock."""
    end_s = time.monotonic() + ms / 1_000
    scene.until(lambda: time.monotonic() >= end_s)


def went_on(scene: Scene, phase: str, deed: Callable[[Scene, str], None]) -> None:
    """What is known of how it went on."""
    victim = scene.victim
    if phase in ("booting", "standby"):
        assert "active" not in victim.went()
    if deed is kill and phase == "claiming":
        # What the first claim came to is not known, so there was a second one.
        assert [claim[1] for claim in scene.pair.shelf.state()["claims"]].count("b") >= 2
    if deed is kill and phase in OWNERS:
        assert "RESUMED" in codes(victim, phase)


def test_killed_before_it_owns_anything(tmp_path: Path) -> None:
    play(tmp_path, PHASES[:3], BRISK, kill)


def test_killed_as_the_owner(tmp_path: Path) -> None:
    play(tmp_path, OWNERS, PATIENT, kill)


def test_stopped_in_each_phase_beyond_every_bound(tmp_path: Path) -> None:
    play(tmp_path, PHASES, BRISK, stop)


def test_stopped_in_each_phase_and_woken_before_the_deadman(tmp_path: Path) -> None:
    play(tmp_path, PHASES, replace(BRISK, deadman_ms=8_000, patience_ms=12_000), doze)
