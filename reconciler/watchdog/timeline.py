"""The chronicle: every change of phase, every request and every coming and going of addresses, with its milliseconds.

Decides what triggered the failover in progress, so that each line says how long it has lasted. Keeps the newest events
in memory and hands each to the clerk for `timeline.jsonl`. Does not judge them; `core/status/timeline` sums them up.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from pathlib import Path
from typing import Final

from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State
from reconciler.core.status.plain_document import Damage
from reconciler.core.status.timeline import (
    EVENTS_MAX,
    EventMark,
    FailoverSummary,
    TimelineEvent,
    event_document,
    event_from_document,
    summaries,
)
from reconciler.errors import HagitError
from reconciler.system.clock import wall_s
from reconciler.system.files import read_lines
from reconciler.watchdog.event_loop import monotonic_ms
from reconciler.watchdog.file_thread import FileThread

#: In memory; the file keeps more.
REMEMBERED_MAX: Final = 500
DONE_MAX: Final = 20


def iso(moment_s: float) -> str:
    """A moment of the wall clock as ISO 8601, UTC, with milliseconds."""
    whole = int(moment_s)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int((moment_s - whole) * 1_000):03d}Z"


class Timeline:
    """The timeline of one controller. `failovers` counts takeovers begun here."""

    def __init__(self, directory: Path, boot: str, clerk: FileThread) -> None:
        self._path, self._boot, self._clerk = directory / "timeline.jsonl", boot, clerk
        self.events: deque[TimelineEvent] = deque(maxlen=REMEMBERED_MAX)
        self._summaries: tuple[FailoverSummary, ...] | None = None
        self._stamp: tuple[int, ...] = ()
        self.read()
        self.failovers = 0
        self._trigger_ms: int | None = None
        self._peer = ""
        self._peer_left_ms: int | None = None

    def read(self) -> None:
        """Read the file, unless it is as it was when it was read last."""
        stamp: tuple[int, ...] = ()
        with contextlib.suppress(OSError):
            facts = self._path.stat()
            stamp = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
        if stamp and stamp == self._stamp:
            return
        self._stamp, self._summaries = stamp, None
        self.events.clear()
        try:
            lines = read_lines(self._path)[-REMEMBERED_MAX:]
        except HagitError:
            lines = []
        for line in lines:
            event = event_from_document(line)
            if not isinstance(event, Damage):
                self.events.append(event)

    def handover_memory(self) -> tuple[int, str]:
        """What is not in the file: how many takeovers began here, and what the peer said of itself last."""
        return self.failovers, self._peer

    def resume(self, memory: tuple[int, str]) -> None:
        """Go on after another daemon of this controller, from what it has written and remembered."""
        self.read()
        self.failovers, self._peer = memory

    def add(self, mark: EventMark, code: str = "", text: str = "", evidence: str = "") -> None:
        """Anything but a phase."""
        self._append(mark, code=code, text=text, evidence=evidence)

    def add_request(self, code: str, evidence: str) -> None:
        """A person asked; what follows at once follows from that."""
        self._trigger_ms = monotonic_ms()
        self.add(EventMark.ASKED, code, evidence=evidence)

    def phase_changed(self, before: State | None, after: State) -> None:
        """The phase changed, or (without `before`) the core began."""
        if before is None:
            self._append(EventMark.STARTED, new=after.phase.value, text=str(after.why))
            return
        if after.phase is Phase.CLAIMING:
            self.failovers += 1
            self._trigger_ms = self._trigger_of(after)
        elif after.phase is Phase.RELEASING:
            self._trigger_ms = after.now_ms
        decision = after.why
        self._append(
            EventMark.PHASE,
            old=before.phase.value,
            new=after.phase.value,
            code=decision.code.name,
            text=decision.code.value,
            evidence=decision.evidence,
            now_ms=after.now_ms,
        )
        if after.phase in (Phase.STANDBY, Phase.HALTED) and before.phase is not Phase.RELEASING:
            self._trigger_ms = None

    def addresses_changed(self, *, up: bool) -> None:
        """Every virtual address is here and announced, or none is any more."""
        self.add(EventMark.ADDRESSES_UP if up else EventMark.ADDRESSES_DOWN)
        if up:
            self._trigger_ms = None

    def peer_phase_seen(self, phase: Phase) -> None:
        """What the peer says of itself."""
        if phase.value == self._peer:
            return
        if self._peer == Phase.ACTIVE:
            self._peer_left_ms = monotonic_ms()
        self._peer = phase.value
        if phase is Phase.ACTIVE:
            # What it let go before is another story. That it does so again may be told by the disks alone, not to us.
            self._peer_left_ms = None
            self.add(EventMark.PEER_ACTIVE)
            self._trigger_ms = None

    def _trigger_of(self, after: State) -> int:
        """The last sign of life of the peer, the moment it let go, or (when a person asked, or at a start) now."""
        match after.why.code:
            case Code.PEER_SILENT:
                return max(after.peer.heard_ms)
            case Code.HANDED | Code.PEER_DEAD:
                return self._peer_left_ms or after.now_ms
            case Code.FORCED:
                return self._trigger_ms or after.now_ms
            case _:
                return after.now_ms

    def _append(
        self, mark: EventMark, *, old: str = "", new: str = "", code: str = "", text: str = "", evidence: str = "",
        now_ms: int | None = None,
    ) -> None:  # fmt: skip
        """`now_ms`: when it was, by the clock of the core; without it, now."""
        now_ms = monotonic_ms() if now_ms is None else now_ms
        event = TimelineEvent(
            at=iso(wall_s()),
            mono_ms=now_ms,
            boot=self._boot,
            mark=mark.value,
            old=old,
            new=new,
            code=code,
            text=text,
            evidence=evidence,
            since_ms=None if self._trigger_ms is None else now_ms - self._trigger_ms,
        )
        self.events.append(event)
        line = json.dumps(event_document(event), separators=(",", ":")).encode() + b"\n"
        self._clerk.append(self._path, line, EVENTS_MAX)
        self._summaries = None

    @property
    def failover_summaries(self) -> tuple[FailoverSummary, ...]:
        """The newest failovers, oldest first."""
        if self._summaries is None:
            self._summaries = summaries(self.events)[-DONE_MAX:]
        return self._summaries
