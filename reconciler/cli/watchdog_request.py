"""One request to the watchdog: asks, waits until it is done, prints the end, and returns the exit status.

The watchdog decides whether it follows. Exit status of all commands that ask for something: 0 done, 1 refused or
failed, 3 accepted and not done in time.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from reconciler.cli.duration import duration_text
from reconciler.cli.terminal import ProgressLine, fold, width
from reconciler.cli.watchdog_text import reason_lines
from reconciler.core.status.watchdog import WatchdogStatus, watchdog_document
from reconciler.system.clock import monotonic_s
from reconciler.system.control_protocol import ControlAnswer, ControlRequest
from reconciler.system.node import Node
from reconciler.system.watchdog_client import query_status, require_status, send_request

DONE, REFUSED, TIMED_OUT = 0, 1, 3
#: Pause between two looks at the status, which leaves the processor to the failover.
LOOK_S: Final = 0.2
#: Added to the bound of the orders before a wait ends.
GRACE_MS: Final = 5_000
#: No clock ends an import or export that makes progress, so without --timeout a command waits for it.
UNDER_WAY: Final = ("claiming", "importing", "releasing")
UNDER_WAY_MS_MAX: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class WaitLimit:
    """Limit of a wait, in milliseconds. `while_moving`: wait longer while a claim, import or export is under way."""

    limit_ms: int
    while_moving: bool

    @property
    def longest_ms(self) -> int:
        """Limit while a claim, import or export is under way."""
        return UNDER_WAY_MS_MAX if self.while_moving else self.limit_ms


def request_and_wait(
    node: Node,
    before: WatchdogStatus,
    request: ControlRequest,
    waits: WaitLimit,
    as_json: bool,
    done: Callable[[WatchdogStatus, WatchdogStatus], bool | None],
    words: Callable[[WatchdogStatus], str],
) -> int:
    """Ask the watchdog, wait for the end, print it, and return the exit status.

    `done(before, now)`: True when the request is done, False when it failed, None while it is under way. `words`: the
    sentence for a request that is done.
    """
    began_s = monotonic_s()
    answer = send_request(node, request)
    if not answer.accepted:
        status = require_status(node)
        if as_json:
            print(json.dumps(_outcome("refused", answer, status, 0), indent=1))
        else:
            print(f"hagit: refused: {answer.text}", file=sys.stderr)
            for line in reason_lines(status.reasons):
                print(line, file=sys.stderr)
        return REFUSED
    after, well = await_status(node, before, waits.limit_ms, done, waits.longest_ms)
    took_ms = int((monotonic_s() - began_s) * 1_000)
    outcome = {True: "done", False: "failed", None: "timed-out"}[well]
    if as_json:
        print(json.dumps(_outcome(outcome, answer, after, took_ms), indent=1))
    elif well:
        print("\n".join(fold(words(after), width() - 1)))
    elif well is None:
        waited_ms = took_ms if waits.while_moving else waits.limit_ms
        print(f"hagit: not done within {duration_text(waited_ms)}; it may still go on", file=sys.stderr)
        print("  `hagit status --watch` shows it", file=sys.stderr)
    else:
        print(f"hagit: it failed: {after.controller} is {after.role} ({after.phase}): {after.why}", file=sys.stderr)
        for line in reason_lines(after.reasons):
            print(line, file=sys.stderr)
    return {True: DONE, False: REFUSED, None: TIMED_OUT}[well]


def await_status(
    node: Node,
    before: WatchdogStatus,
    timeout_ms: int,
    done: Callable[[WatchdogStatus, WatchdogStatus], bool | None],
    longest_ms: int = 0,
) -> tuple[WatchdogStatus, bool | None]:
    """Wait until `done(before, now)` is not None. Returns the last status, and that answer; None: the time ran out.

    While this controller claims, imports or exports, the wait lasts up to `longest_ms`. Shows progress on a terminal.
    """
    began_s, latest, pause = monotonic_s(), before, threading.Event()
    with ProgressLine() as progress:
        while True:
            reading = query_status(node)
            waited_ms = int((monotonic_s() - began_s) * 1_000)
            if reading is not None and reading.status is not None and reading.fresh:
                latest = reading.status
                found = done(before, latest)
                if found is not None:
                    return latest, found
                sides = f"{latest.controller} {latest.role}, {latest.peer.controller} {latest.peer.role or '?'}"
                progress.show(f"{duration_text(waited_ms)}: {sides}")
            elif reading is not None:
                progress.show(f"{duration_text(waited_ms)}: {reading.problem}")
            if waited_ms >= (max(timeout_ms, longest_ms) if latest.phase in UNDER_WAY else timeout_ms):
                return latest, None
            pause.wait(LOOK_S)


def is_active_there(before: WatchdogStatus, now: WatchdogStatus) -> bool | None:
    """A switchover is done when the peer says that it is active. It failed when this side is active again or halted."""
    if now.phase == "halted":
        return False
    moved = now.since_ms != before.since_ms or now.failover != before.failover
    if not moved:
        return None
    if now.phase == "active":
        return False
    there = now.phase == "standby" and now.peer.phase == "active"
    return True if there and now.failover is not None and now.failover.served else None


def fresh_status(node: Node) -> WatchdogStatus | None:
    """The status of the watchdog; None when there is none that is current."""
    reading = query_status(node)
    return reading.status if reading is not None and reading.fresh else None


def request_answer(node: Node, request: ControlRequest, as_json: bool, *, still: bool = False) -> int:
    """Ask the watchdog, print its answer, and return the exit status.

    `still`: the request keeps this controller from moving. It does not bind the other one, so a note says that.
    """
    answer = send_request(node, request)
    if as_json:
        document = {"format": "hagit.answer/1", "accepted": answer.accepted, "code": answer.code, "text": answer.text}
        print(json.dumps(document, indent=1))
    elif not answer.accepted:
        print(f"hagit: refused: {answer.text}", file=sys.stderr)
    else:
        print(f"Done: {answer.text}.")
        status = fresh_status(node)
        if still and status is not None and status.phase == "active":
            other = status.peer.controller
            print(f"note: {status.controller} is active. {other} would still take over if it died;")
            print(f"      ask on {other}, too, if nothing may move.")
    return DONE if answer.accepted else REFUSED


def _outcome(outcome: str, answer: ControlAnswer, status: WatchdogStatus, took_ms: int) -> dict[str, Any]:
    """JSON form of the end of a request."""
    document = watchdog_document(status)
    return {
        "format": "hagit.request/1",
        "outcome": outcome,
        "code": answer.code,
        "text": answer.text,
        "took_ms": took_ms,
        "failover": document["failover"],
        "status": document,
    }
