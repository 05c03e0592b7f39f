"""Record slots: the peer's slots on the arbitration disks, compared from one read to the next.

Finds the peer's newest beat, and whether the peer writes although its record brings no new beat. It compares the raw
bytes of the slots, so it notices life under a seal or in a version that this controller cannot decode. The first
content read from a disk is no sign of life, because a dead peer may have left it. Decodes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.machine.events import Heard, RecordChanged

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading:
    """Result of a read. `beat`: the newest decoded beat. `changed`: a slot changed to content without a new beat."""

    beat: Beat | None
    changed: bool

    def events(self, channel: int) -> tuple[Heard | RecordChanged, ...]:
        """Return the events for the core; a beat tells more and comes last. `channel`: that of the disk record."""
        changed = (RecordChanged(),) if self.changed else ()
        return (*changed, Heard(channel, self.beat)) if self.beat is not None else changed


def compare(
    before: Sequence[T | None], now: Sequence[T | None], beats: Sequence[Beat | None], incarnation: int
) -> Reading:
    """Compare one read of all slots with the contents before.

    `before`: earlier contents (None: never read). `beats`: the decoded contents of `now`. `incarnation`: the highest
    known of the peer. If a slot changes to a beat of a lower incarnation, the numbers of its writer went back: its
    beats do not count, but the writer lives. A slot that only lags behind the others does not count as changed.
    """
    found = [beat for beat in beats if beat is not None]
    newest = max(found, key=lambda beat: (beat.incarnation, beat.counter), default=None)
    changed = any(
        old is not None and new is not None and new != old and (beat is None or beat.incarnation < incarnation)
        for old, new, beat in zip(before, now, beats, strict=True)
    )
    return Reading(newest, changed)


def held(before: Sequence[T | None], now: Sequence[T | None]) -> tuple[T | None, ...]:
    """Return the known contents of the slots: an unreadable slot keeps its earlier contents."""
    return tuple(old if new is None else new for old, new in zip(before, now, strict=True))
