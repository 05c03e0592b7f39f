"""Both controllers with their watchdogs: the steps of the second half of the demonstration build on this.

Decides when the pair is healthy, and how a prediction, the client's longest wait and the verdict are printed. The
failures are in `demo/failover_story`.
"""

from __future__ import annotations

import sys
import time
from typing import Final

from reconciler.cli.terminal import fold
from reconciler.core.status.watchdog import PairVerdict
from reconciler.demo.managed_controller import ManagedController
from reconciler.demo.narration import Narrator
from reconciler.demo.ping_probe import ADDRESS, INTERVAL_MS, PingProbe
from reconciler.demo.powered_controller import ShelfControl
from reconciler.demo.repository import Repository
from reconciler.demo.step_output import COLUMNS, INDENT, plain
from reconciler.demo.testbed import CONTROLLERS, Testbed

#: Column at which the text of a line of `hagit rehearse` begins, after its time and its subject.
MOMENT: Final = 19
#: Beginnings of the lines with which `hagit rehearse` concludes; the lines before are events.
_CONCLUSIONS: Final = ("After:", "Clients ", "BROKEN", "Every invariant")


class PairNarrator(Narrator):
    """The pair, its shelf and its client. `number`: the number of the last step that was printed before."""

    def __init__(self, testbed: Testbed, repository: Repository, number: int) -> None:
        super().__init__(testbed, repository)
        self.number = number
        self.controllers = {name: ManagedController(name, testbed, repository) for name in CONTROLLERS}
        self.ping_probe: PingProbe | None = None

    # State -----------------------------------------------------------------------------------------------------

    def active(self) -> str:
        """The name of the active controller; empty when none is active, or both claim to be."""
        found = [name for name, controller in self.controllers.items() if controller.phase == "active"]
        return found[0] if len(found) == 1 else ""

    def is_healthy(self) -> bool:
        """Whether one controller is active, the other could take over, and both report HA active."""
        status = [controller.status() for controller in self.controllers.values()]
        return (
            sorted(one.phase for one in status if one is not None) == ["active", "standby"]
            and any(one is not None and one.readiness.ready for one in status)
            and all(one is not None and one.verdict == PairVerdict.ACTIVE for one in status)
        )

    def wait_until_healthy(self) -> None:
        """Wait until the pair is healthy and answers the client. Switch on controllers that reset themselves."""
        self.wait_until("a healthy pair", self._boot_and_check)
        self.wait_until_answered()

    def _boot_and_check(self) -> bool:
        for name, controller in self.controllers.items():
            if not controller.on:
                self.switch_on(name)
        return self.is_healthy()

    def wait_until_answered(self) -> None:
        """Wait until a ping from now on is answered."""
        now_s = time.monotonic()
        self.wait_until("the client to be answered", lambda: self.client.answered_since(now_s))

    def wait_until_active(self, name: str) -> None:
        """Wait until this controller is active and answers the client."""
        self.wait_until(f"{name} to be active", lambda: self.controllers[name].phase == "active")
        self.wait_until(f"{name} to have the address", lambda: self.has_address(name))
        self.wait_until_answered()

    def has_address(self, name: str) -> bool:
        """Whether the virtual address is on this controller, as its watchdog reports."""
        status = self.controllers[name].status()
        return status is not None and any(one.present for one in status.addresses)

    @property
    def client(self) -> PingProbe:
        """The probe that pings the virtual address."""
        assert self.ping_probe is not None
        return self.ping_probe

    def control(self) -> ShelfControl:
        """A connection to the simulated shelf, to cause faults and to ask for its state."""
        return ShelfControl(self.repository.shelf)

    # Actions ---------------------------------------------------------------------------------------------------

    def switch_on(self, *names: str) -> None:
        """Switch several controllers on at the same time and start their daemons."""
        for name in names:
            self.controllers[name].switch_on()
        for name in names:
            self.wait_until(f"{name} to have power", lambda name=name: self.controllers[name].powered)  # type: ignore[misc]
            self.controllers[name].start()

    def start_client(self) -> None:
        """Start to ping the virtual address."""
        command = [sys.executable, "-m", "reconciler.demo.pinger", ADDRESS, str(INTERVAL_MS)]
        self.ping_probe = PingProbe(self.testbed["client"].start_piped(command, self.repository.root / "pinger.log"))

    # Output ---------------------------------------------------------------------------------------------------

    def show_prediction(self, controller: str, *words: str, script: str = "", since: str = "") -> None:
        """Print what `hagit rehearse` predicts, for a fault (`words`) or for a script with moments.

        Prints its conclusions and, with `since`, every line from this event on.
        """
        if script:
            path = self.repository.root / "rehearsal.txt"
            path.write_text(script)
            words = ("--script", str(path))
            self.command(controller, "rehearse", "--script", path.name)
            self.show(f"  {path.name}: {'; '.join(script.splitlines())}")
        else:
            self.command(controller, "rehearse", *words)
        # A rehearsal starts with controller a active. Where b is active and keeps the pools, it would name a.
        wrong = not script and self.active() != "a"
        is_shown = False
        for line in self.hagit(controller, "rehearse", *words).splitlines():
            text = plain(line)
            is_shown = is_shown or (bool(since) and f"event   {since}" in text)
            if text.startswith(_CONCLUSIONS):
                is_shown = False
                if not (wrong and text.startswith("After:")):
                    self.show(f"  {line}")
            elif is_shown and text:
                first, *rest = fold(text[MOMENT:], COLUMNS - MOMENT - len(INDENT))
                self.show("\n".join((text[:MOMENT] + first, *(" " * MOMENT + more for more in rest))))

    def report_silence(self, since_s: float, more: str = "") -> int:
        """Print the longest time without an answer since then; return it, in milliseconds."""
        silence_ms = self.client.silence_ms(since_s)
        text = f"at most {silence_ms:,} ms between two answers of {ADDRESS}, pinged every {INTERVAL_MS} ms"
        self.note(text + (f"; {more}" if more else ""), "client saw")
        return silence_ms

    def show_verdict(self, controller: str) -> None:
        """Print the first line of `hagit status`."""
        self.command(controller, "status")
        first, *rest = fold(self.hagit(controller, "status").splitlines()[0], COLUMNS - 8)
        self.show("\n".join((f"  {first}", *(f"    {line}" for line in rest))))

    def show_failover(self, controller: str) -> None:
        """Print the newest failover of the timeline."""
        self.command(controller, "timeline", "--failovers", "-n", "1")
        lines = self.hagit(controller, "timeline", "--failovers", "-n", "1").splitlines()[1:]
        self.show("\n".join(f"  {line}" for line in lines))
