"""A client of the watchdog on this controller: reads its status and timeline, and sends requests.

Reads the status file first, because every user may; the answer of the socket then says why the file is old or missing.
The agent and the commands share this.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reconciler.core.status.plain_document import Damage
from reconciler.core.status.timeline import TimelineEvent, event_from_document
from reconciler.core.status.watchdog import DOCUMENT_BYTES_MAX, WatchdogStatus, is_stale, watchdog_from_document
from reconciler.errors import ControlError, HagitError
from reconciler.system.clock import monotonic_s
from reconciler.system.control import client
from reconciler.system.control_protocol import ControlAnswer, ControlRequest, RequestKind
from reconciler.system.files import read_bytes, read_lines
from reconciler.system.machine import boot_id
from reconciler.system.node import Node

DOCUMENT: Final = "watchdog.json"
SOCKET: Final = "watchdog.sock"
#: In the state directory of the node.
TIMELINE: Final = Path("watchdog/timeline.jsonl")
#: Time limit of a request. The watchdog answers at once or not at all.
ANSWER_S_MAX: Final = 3.0


@dataclass(frozen=True, slots=True)
class StatusReading:
    """The newest status of the watchdog in this boot, if there is one, and its age.

    `problem` is empty while the status is fresh. Else it says why there is no fresh one, and `remedy` what to do.
    """

    status: WatchdogStatus | None
    age_ms: int = 0
    problem: str = ""
    remedy: str = ""

    @property
    def fresh(self) -> bool:
        """Whether the status describes the present."""
        return self.status is not None and not self.problem


def query_status(node: Node) -> StatusReading | None:
    """Read the status; where it is not fresh, ask the watchdog why. None when the node file names no watchdog.

    Waits up to `ANSWER_S_MAX` for the answer.
    """
    reading = read_status(node)
    if reading is None or reading.fresh:
        return reading
    problem, remedy = _silence(node)
    return replace(reading, problem=problem or reading.problem, remedy=remedy)


def read_status(node: Node) -> StatusReading | None:
    """Read the status from its file alone, without waiting. None when the node file names no watchdog."""
    if node.watchdog is None:
        return None
    status, damage = _published(node.watchdog.run / DOCUMENT)
    now_ms, boot = int(monotonic_s() * 1_000), boot_id()
    if status is not None and status.boot != boot:
        status = None
    if status is not None:
        age_ms = max(0, now_ms - status.at_ms)
        late = "the watchdog has not published for too long" if is_stale(status, boot, now_ms) else ""
        return StatusReading(status, age_ms, late)
    return StatusReading(None, 0, damage or "the watchdog has not published since this controller started")


def require_status(node: Node) -> WatchdogStatus:
    """The fresh status. Raises ControlError when there is none."""
    reading = query_status(node)
    if reading is None:
        send_request(node, ControlRequest(RequestKind.STATUS))
        raise AssertionError("a node without a watchdog cannot be asked")
    if reading.status is None or not reading.fresh:
        assert node.watchdog is not None
        raise ControlError(reading.problem, where=str(node.watchdog.run / SOCKET), remedy=reading.remedy)
    return reading.status


def send_request(node: Node, request: ControlRequest) -> ControlAnswer:
    """Send a request to the watchdog. Raises ControlError when it does not answer, or when there is none."""
    if node.watchdog is None:
        raise ControlError(
            "this controller has no watchdog",
            where=str(node.path),
            remedy="give the node file a [watchdog] table; `hagit explain node` lists its keys",
        )
    return client(node.watchdog.run / SOCKET, request, ANSWER_S_MAX)


def read_timeline(node: Node) -> tuple[TimelineEvent, ...]:
    """Every event that the watchdog has recorded and kept, oldest first. Skips damaged lines."""
    found = (event_from_document(line) for line in read_lines(node.state / TIMELINE))
    return tuple(event for event in found if not isinstance(event, Damage))


def _published(path: Path) -> tuple[WatchdogStatus | None, str]:
    """The status in the file, or how it is damaged."""
    try:
        content = read_bytes(path, DOCUMENT_BYTES_MAX)
        if content is None:
            return None, ""
        found = watchdog_from_document(json.loads(content))
    except HagitError as error:
        return None, f"its status cannot be read: {error.what}"
    except (ValueError, RecursionError) as error:
        return None, f"its status is damaged: {error}"
    return (None, f"its status is damaged: {found}") if isinstance(found, Damage) else (found, "")


def _silence(node: Node) -> tuple[str, str]:
    """Why the watchdog publishes nothing new, and what to do; empty when it answers."""
    try:
        send_request(node, ControlRequest(RequestKind.STATUS))
    except ControlError as error:
        return error.what, error.remedy
    return "", ""
