"""What can be known of the watchdog from here: its published document, how old it is, and why there is no newer one.

Reads the file first, because everybody may; a person who looks also learns from the socket why the file is old or
missing. Shared by the agent and the commands.
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
from reconciler.system.node import Node

DOCUMENT: Final = "watchdog.json"
#: In the state directory of the node.
TIMELINE: Final = Path("watchdog/timeline.jsonl")
SOCKET: Final = "watchdog.sock"
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
#: How long a question waits for its answer; the watchdog answers at once or not at all.
ASK_S_MAX: Final = 3.0


@dataclass(frozen=True, slots=True)
class StatusReading:
    """The newest status of this boot, if there is any.

    `problem` is empty while it is fresh; otherwise it says, with `remedy`, why nobody vouches for it any more.
    """

    status: WatchdogStatus | None
    age_ms: int = 0
    problem: str = ""
    remedy: str = ""

    @property
    def fresh(self) -> bool:
        """The status says what is."""
        return self.status is not None and not self.problem


def boot_id() -> str:
    """Which boot this is (random(4))."""
    return (read_bytes(BOOT_ID, 64) or b"").decode().strip()


def query_status(node: Node) -> StatusReading | None:
    """What the watchdog of this controller says; None when the node file names none. May wait for its answer."""
    sight = read_status(node)
    if sight is None or sight.fresh:
        return sight
    problem, remedy = _silence(node)
    return replace(sight, problem=problem or sight.problem, remedy=remedy)


def read_status(node: Node) -> StatusReading | None:
    """The same from the file alone, without waiting for anybody."""
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


def _published(path: Path) -> tuple[WatchdogStatus | None, str]:
    """The status in the file, or what is wrong with it."""
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
    """Why nothing new is published, in words, and what to do; empty when the watchdog answers."""
    try:
        send_request(node, ControlRequest(RequestKind.STATUS))
    except ControlError as error:
        return error.what, error.remedy
    return "", ""


def send_request(node: Node, request: ControlRequest) -> ControlAnswer:
    """Ask the watchdog of this controller. Raises ControlError when it does not answer, or when there is none."""
    if node.watchdog is None:
        raise ControlError(
            "this controller has no watchdog",
            where=str(node.path),
            remedy="give the node file a [watchdog] table; `hagit explain node` says what belongs into it",
        )
    return client(node.watchdog.run / SOCKET, request, ASK_S_MAX)


def require_status(node: Node) -> WatchdogStatus:
    """The fresh status. Raises ControlError when there is none."""
    sight = query_status(node)
    if sight is None:
        send_request(node, ControlRequest(RequestKind.STATUS))
        raise AssertionError("a node without a watchdog cannot be asked")
    if sight.status is None or not sight.fresh:
        assert node.watchdog is not None
        raise ControlError(sight.problem, where=str(node.watchdog.run / SOCKET), remedy=sight.remedy)
    return sight.status


def read_timeline(node: Node) -> tuple[TimelineEvent, ...]:
    """Every event that the watchdog has recorded and kept, oldest first. Skips damaged lines."""
    found = (event_from_document(line) for line in read_lines(node.state / TIMELINE))
    return tuple(event for event in found if not isinstance(event, Damage))
