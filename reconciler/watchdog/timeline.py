"""The timeline: every change of phase, every request and every change of the virtual addresses, with its milliseconds.

Decides which moment triggered the failover in progress, so that each event says how long the failover has lasted. Keeps
the newest events in memory and lets the file thread append each to `timeline.jsonl`. `core/status/timeline` summarises
them.
"""

from __future__ import annotations

import contextlib
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
from reconciler.system.file_thread import FileThread
from reconciler.system.files import json_line, read_lines
from reconciler.watchdog.event_loop import monotonic_ms

#: Number of events in memory. The file holds more.
REMEMBERED_MAX: Final = 500
DONE_MAX: Final = 20


def iso(moment_s: float) -> str:
    """A moment of the wall clock, in seconds, as ISO 8601 in UTC with milliseconds."""
    whole = int(moment_s)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int((moment_s - whole) * 1_000):03d}Z"


class Timeline:
    """The timeline of one controller. `failovers`: the number of claims started here since the daemon started."""

    def __init__(self, directory: Path, boot: str, file_thread: FileThread) -> None:
        self._path, self._boot, self._file_thread = directory / "timeline.jsonl", boot, file_thread
        self.events: deque[TimelineEvent] = deque(maxlen=REMEMBERED_MAX)
        self._summaries: tuple[FailoverSummary, ...] | None = None
        self._stamp: tuple[int, ...] = ()
        self.read()
        self.failovers = 0
        self._trigger_ms: int | None = None
        self._peer = ""
        self._peer_left_ms: int | None = None

    def read(self) -> None:
        """Read the file, unless it has not changed since the last read."""
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
        """What a successor cannot read from the file: the number of takeovers, and the last phase of the peer."""
        return self.failovers, self._peer

    def resume(self, memory: tuple[int, str]) -> None:
        """Continue after the predecessor, from its file and its `handover_memory`."""
        self.read()
        self.failovers, self._peer = memory

    def add(self, mark: EventMark, code: str = "", text: str = "", evidence: str = "") -> None:
        """Add an event that is no change of phase."""
        self._append(mark, code=code, text=text, evidence=evidence)

    def add_request(self, code: str, evidence: str) -> None:
        """Add an operator's request. It is the trigger of what follows immediately."""
        self._trigger_ms = monotonic_ms()
        self.add(EventMark.ASKED, code, evidence=evidence)

    def phase_changed(self, before: State | None, after: State) -> None:
        """Add a change of phase, or the start of the core (without `before`)."""
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
        """Add that all virtual addresses are here and announced, or that none is here any more."""
        self.add(EventMark.ADDRESSES_UP if up else EventMark.ADDRESSES_DOWN)
        if up:
            self._trigger_ms = None

    def peer_phase_seen(self, phase: Phase) -> None:
        """Note the phase that the peer reports. Adds an event when the peer becomes active."""
        if phase.value == self._peer:
            return
        if self._peer == Phase.ACTIVE:
            self._peer_left_ms = monotonic_ms()
        self._peer = phase.value
        if phase is Phase.ACTIVE:
            # An earlier release belongs to an earlier failover. The next release may be visible on the disks only.
            self._peer_left_ms = None
            self.add(EventMark.PEER_ACTIVE)
            self._trigger_ms = None

    def _trigger_of(self, after: State) -> int:
        """The moment that triggered a claim.

        The last sign of life of a silent peer, the moment when the peer left ACTIVE, an operator's request, or now.
        """
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
        """`now_ms`: the moment of the event by the clock of the core; default now."""
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
        line = json_line(event_document(event))
        self._file_thread.append(self._path, line, EVENTS_MAX)
        self._summaries = None

    @property
    def failover_summaries(self) -> tuple[FailoverSummary, ...]:
        """Summaries of the newest failovers, oldest first."""
        if self._summaries is None:
            self._summaries = summaries(self.events)[-DONE_MAX:]
        return self._summaries
