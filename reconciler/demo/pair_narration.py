"""Both controllers with their watchdogs, as the second half of the demonstration handles them.

Decides when the pair is well, and how a prediction, the client's silence and the verdict are shown. Does not know what
is done to the pair.
"""

from __future__ import annotations

import sys
import time
from typing import Final

from reconciler.cli.terminal import fold
from reconciler.core.status.watchdog import Verdict
from reconciler.demo.managed_controller import Power
from reconciler.demo.narration import COLUMNS, INDENT, Telling, plain
from reconciler.demo.ping_probe import ADDRESS, INTERVAL_MS, Onlooker
from reconciler.demo.powered_controller import Control
from reconciler.demo.repository import Repository
from reconciler.demo.testbed import CONTROLLERS, Stage

#: Where the text of a line of `hagit rehearse` begins, after its moment and whom it is about.
MOMENT: Final = 19
#: What `hagit rehearse` says at its end begins with one of these; the rest is how it came to that.
_CONCLUSIONS: Final = ("After:", "Clients ", "BROKEN", "Every invariant")


class Watching(Telling):
    """The pair, its shelf and its client. `number`: of the step before the first one here."""

    def __init__(self, stage: Stage, repository: Repository, number: int) -> None:
        super().__init__(stage, repository)
        self.number = number
        self.power = {name: Power(name, stage, repository) for name in CONTROLLERS}
        self.onlooker: Onlooker | None = None

    # What is so -----------------------------------------------------------------------------------------------------

    def active(self) -> str:
        """Who is active; empty when nobody is, or both say so."""
        found = [name for name, power in self.power.items() if power.phase == "active"]
        return found[0] if len(found) == 1 else ""

    def well(self) -> bool:
        """One active, one standby that could take over, and both say so."""
        status = [power.status() for power in self.power.values()]
        return (
            sorted(one.phase for one in status if one is not None) == ["active", "standby"]
            and any(one is not None and one.readiness.ready for one in status)
            and all(one is not None and one.verdict == Verdict.ACTIVE for one in status)
        )

    def until_well(self) -> None:
        """Wait for it, and for the client to be answered. Who has reset itself meanwhile is switched on again."""
        self.until("a pair that is well", self._mended)
        self.until_answered()

    def _mended(self) -> bool:
        for name, power in self.power.items():
            if not power.on:
                self.boot(name)
        return self.well()

    def until_answered(self) -> None:
        """Wait until a ping from now on is answered."""
        now_s = time.monotonic()
        self.until("the client to be answered", lambda: self.client.answered_since(now_s))

    def until_active(self, name: str) -> None:
        """Wait until this controller is active, and the client is answered by it."""
        self.until(f"{name} to be active", lambda: self.power[name].phase == "active")
        self.until(f"{name} to have the address", lambda: self.has_address(name))
        self.until_answered()

    def has_address(self, name: str) -> bool:
        """Whether the virtual address is on this controller, as its watchdog knows."""
        status = self.power[name].status()
        return status is not None and any(one.present for one in status.addresses)

    @property
    def client(self) -> Onlooker:
        """Who pings."""
        assert self.onlooker is not None
        return self.onlooker

    def control(self) -> Control:
        """A person at the shelf."""
        return Control(self.repository.shelf)

    # What is done ---------------------------------------------------------------------------------------------------

    def boot(self, *names: str) -> None:
        """Switch controllers on at once: everything starts by itself."""
        for name in names:
            self.power[name].boot()
        for name in names:
            self.until(f"{name} to have power", lambda name=name: self.power[name].powered)  # type: ignore[misc]
            self.power[name].start()

    def start_client(self) -> None:
        """Ping from now on."""
        command = [sys.executable, "-m", "reconciler.demo.pinger", ADDRESS, str(INTERVAL_MS)]
        self.onlooker = Onlooker(self.stage["client"].ask(command, self.repository.root / "prober.log"))

    # What is told ---------------------------------------------------------------------------------------------------

    def predict(self, controller: str, *words: str, script: str = "", since: str = "") -> None:
        """What `hagit rehearse` says beforehand: words, or a script where moments matter.

        Its conclusions, and with `since` what it says of everything from this event on.
        """
        if script:
            path = self.repository.root / "rehearsal.txt"
            path.write_text(script)
            words = ("--script", str(path))
            self.command(controller, "rehearse", "--script", path.name)
            self.show(f"  {path.name}: {'; '.join(script.splitlines())}")
        else:
            self.command(controller, "rehearse", *words)
        # It begins with a as the active one; where that is not so and nobody moves, it would name the wrong one.
        wrong = not script and self.active() != "a"
        told = False
        for line in self.hagit(controller, "rehearse", *words).splitlines():
            text = plain(line)
            told = told or (bool(since) and f"event   {since}" in text)
            if text.startswith(_CONCLUSIONS):
                told = False
                if not (wrong and text.startswith("After:")):
                    self.show(f"  {line}")
            elif told and text:
                first, *rest = fold(text[MOMENT:], COLUMNS - MOMENT - len(INDENT))
                self.show("\n".join((text[:MOMENT] + first, *(" " * MOMENT + more for more in rest))))

    def saw(self, since_s: float, more: str = "") -> int:
        """What the client saw since then; the silence in milliseconds."""
        silence_ms = self.client.silence_ms(since_s)
        text = f"at most {silence_ms:,} ms between two answers of {ADDRESS}, pinged every {INTERVAL_MS} ms"
        self.note(text + (f"; {more}" if more else ""), "client saw")
        return silence_ms

    def verdict(self, controller: str) -> None:
        """The first line of `hagit status`."""
        self.command(controller, "status")
        first, *rest = fold(self.hagit(controller, "status").splitlines()[0], COLUMNS - 8)
        self.show("\n".join((f"  {first}", *(f"    {line}" for line in rest))))

    def failover(self, controller: str) -> None:
        """The newest failover as its timeline has it."""
        self.command(controller, "timeline", "--failovers", "-n", "1")
        lines = self.hagit(controller, "timeline", "--failovers", "-n", "1").splitlines()[1:]
        self.show("\n".join(f"  {line}" for line in lines))
