"""`hagit drill`: switches over to the other controller and back, when all is well, and measures both against the bound.

This controller cannot ask its peer for anything. The way back is asked for there, by the command of --peer or by the
operator.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
from typing import Annotated, Final

import typer

from reconciler.cli.duration import duration_text, parsed_ms
from reconciler.cli.options import NodeOption, Output, OutputOption, TimeoutOption, YesOption
from reconciler.cli.switchover import print_switchover_plan
from reconciler.cli.terminal import confirmed, fold, width
from reconciler.cli.watchdog_request import DONE, GRACE_MS, REFUSED, TIMED_OUT, await_status, is_active_there
from reconciler.cli.watchdog_text import failover_text, reason_lines, switchover_prediction
from reconciler.core.status.timeline import FailoverSummary
from reconciler.core.status.watchdog import PairVerdict, WatchdogStatus, watchdog_document
from reconciler.system.control_protocol import ControlRequest, RequestKind
from reconciler.system.node import Node, find_node_file, load_node
from reconciler.system.watchdog_client import require_status, send_request

#: Time in which both controllers have to be well again before the way back.
SETTLE_MS: Final = 60_000
#: Time for the operator to ask on the other controller.
PERSON_MS: Final = 600_000
NOTE_LENGTH_MAX: Final = 200
#: Time for a command on the other controller besides the switchover: a login, a start.
COMMAND_S: Final = 60.0
SAID_LENGTH_MAX: Final = 1_000
TRIES: Final = 3
TRY_S: Final = 1.0


def drill(
    yes: YesOption = False,
    peer: Annotated[
        str | None,
        typer.Option("--peer", help="A command that runs hagit on the other controller.", metavar="COMMAND"),
    ] = None,
    timeout: TimeoutOption = None,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Switch over to the other controller and back, when all is well, and measure.

    Refuses while any reason stands. What clients waited is kept in the timeline
    beside what was predicted. Without --peer the operator asks for the way back on
    the other one. Exit status 0: there and back, 1: refused or failed, 3: not done
    in time.

    \b
    Example:  hagit drill
              hagit drill --yes --peer "ssh storage-b hagit"
    """
    loaded = load_node(find_node_file(node))
    status, as_json = require_status(loaded), output is Output.JSON
    timeout_ms = parsed_ms(timeout, "--timeout") if timeout else status.readiness.switchover_ms + GRACE_MS
    if not as_json or not status.readiness.ready:
        print_switchover_plan(status, as_json)
    if not status.readiness.ready or status.reasons:
        if status.readiness.ready:
            print(f"No drill while something is wrong on {status.controller}:", file=sys.stderr)
            for line in reason_lines(status.reasons):
                print(line, file=sys.stderr)
        return REFUSED
    other = status.peer.controller
    if not yes and not confirmed(f"\nSwitch over to {other}, and back? Clients wait twice."):
        print("Nothing was done.", file=sys.stderr)
        return REFUSED
    return Drill(loaded, status, peer, timeout_ms, as_json).run()


class Drill:
    """One drill from the active controller. `peer`: a command that runs hagit on the other one; `before`: its
    status."""

    def __init__(self, node: Node, before: WatchdogStatus, peer: str | None, timeout_ms: int, as_json: bool) -> None:
        self._node, self._before, self._timeout_ms, self._as_json = node, before, timeout_ms, as_json
        self._peer = shlex.split(peer) if peer else []
        self._prediction = f"predicted: {switchover_prediction(before)}"[:NOTE_LENGTH_MAX]
        self._over: FailoverSummary | None = None
        self._back: FailoverSummary | None = None

    def run(self) -> int:
        """Switch over and back. Returns the exit status."""
        other = self._before.peer.controller
        answer = send_request(self._node, ControlRequest(RequestKind.DRILL, note=self._prediction))
        if not answer.accepted:
            return self._end(REFUSED, f"refused: {answer.text}", self._before)
        there, well = await_status(self._node, self._before, self._timeout_ms, is_active_there)
        if not well:
            return self._end(self._failed(well), f"{other} has not become active", there)
        self._over = there.failover
        self._print(f"There: {other} is MASTER. {_took(self._over, self._before)}")
        ready, well = await_status(self._node, there, SETTLE_MS, _is_well)
        if not well:
            return self._end(self._failed(well), f"not going back: {self._before.controller} is not ready", ready)
        if self._peer:
            problem = self._ask_peer()
            if problem:
                return self._end(REFUSED, problem, ready)
        else:
            self._print(
                f"Back: ask on {other}: hagit switchover   (waiting {duration_text(PERSON_MS)}; Ctrl-C leaves it so)"
            )
        wait_ms = self._timeout_ms if self._peer else PERSON_MS
        here, well = await_status(self._node, ready, wait_ms, _is_back)
        if not well:
            return self._end(self._failed(well), f"{self._before.controller} is not active again", here)
        self._back = here.failover
        self._print(f"Back: {self._before.controller} is MASTER. {_took(self._back, self._before)}")
        return self._end(DONE, "", here)

    def _ask_peer(self) -> str:
        """Ask for the way back on the other controller. Returns the problem, or an empty text when it was done.

        The other side may learn a heartbeat later than this one that it can go back, so a refusal is tried again.
        """
        pause = threading.Event()
        for _ in range(TRIES):
            problem = self._ask_once()
            if not problem:
                break
            pause.wait(TRY_S)
        return problem

    def _ask_once(self) -> str:
        """Run the command of --peer once. Returns the problem, or an empty text."""
        command = [*self._peer, "switchover"]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._timeout_ms / 1_000 + COMMAND_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"`{shlex.join(command)}` failed: {error}"
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-SAID_LENGTH_MAX:]
        return f"`{shlex.join(command)}` failed: {said}" if done.returncode else ""

    def _failed(self, well: bool | None) -> int:
        return TIMED_OUT if well is None else REFUSED

    def _print(self, text: str) -> None:
        if not self._as_json:
            print("\n".join(fold(text, width() - 1)), flush=True)

    def _end(self, code: int, problem: str, status: WatchdogStatus) -> int:
        """Print how the drill went. Returns `code`."""
        if self._as_json:
            totals = {"over": self._over, "back": self._back}
            document = {
                "format": "hagit.drill/1",
                "outcome": "done" if code == DONE else "failed",
                "problem": problem,
                "predicted": self._prediction,
                "bound_ms": self._before.readiness.switchover_ms,
                "outage_ms": {name: None if one is None else one.total_ms for name, one in totals.items()},
                "status": watchdog_document(status),
            }
            print(json.dumps(document, indent=1))
        elif problem:
            print(f"hagit: the drill stopped: {problem}", file=sys.stderr)
            for line in reason_lines(status.reasons):
                print(line, file=sys.stderr)
        else:
            print("The drill went well; `hagit timeline` keeps it.")
        return code


def _took(one: FailoverSummary | None, before: WatchdogStatus) -> str:
    """What a switchover took, compared with the bound of the orders."""
    if one is None:
        return ""
    late = one.total_ms is not None and one.total_ms > before.readiness.switchover_ms
    bound = f"{'LONGER than' if late else 'within'} the bound of {duration_text(before.readiness.switchover_ms)}"
    return f"{failover_text(one)}; {bound}."


def _is_well(before: WatchdogStatus, now: WatchdogStatus) -> bool | None:
    """Standby here, active there, and ready to come back."""
    if now.phase == "halted":
        return False
    here = now.phase == "standby" and now.peer.phase == "active" and now.pools.state == "none"
    return True if here and now.able and now.verdict == PairVerdict.ACTIVE else None


def _is_back(before: WatchdogStatus, now: WatchdogStatus) -> bool | None:
    """Active here again, and serving clients."""
    if now.phase == "halted":
        return False
    served = now.failover is not None and now.failover.served and now.failover != before.failover
    return True if now.phase == "active" and served else None
