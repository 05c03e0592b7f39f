"""The peer's slots on the arbitration disks, from one read to the next.

Finds the peer's newest beat, and whether the peer writes although its record brings no new beat. Slots are compared as
they are read, bytes with bytes, so life shows under a seal or in a version that this controller cannot decode. What a
disk held when it was first read is no sign of life: a dead peer may have left it. Does not decode anything.
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
    """`beat`: the newest that could be decoded. `changed`: a slot changed to something that brings no new beat."""

    beat: Beat | None
    changed: bool

    def events(self, channel: int) -> tuple[Heard | RecordChanged, ...]:
        """What the core is told, in this order: a beat says more than a change. `channel`: that of the disk record."""
        changed = (RecordChanged(),) if self.changed else ()
        return (*changed, Heard(channel, self.beat)) if self.beat is not None else changed


def compare(
    before: Sequence[T | None], now: Sequence[T | None], beats: Sequence[Beat | None], incarnation: int
) -> Reading:
    """What one read of all slots says. `before`: what they held (None: never read), `beats`: what `now` decodes to.

    `incarnation` is the highest known of the peer. A slot that changes to a beat of a lower one is written by a peer
    whose numbers went back; its beats are not followed, but it lives. A slot that only lags behind the others is not.
    """
    found = [beat for beat in beats if beat is not None]
    newest = max(found, key=lambda beat: (beat.incarnation, beat.counter), default=None)
    changed = any(
        old is not None and new is not None and new != old and (beat is None or beat.incarnation < incarnation)
        for old, new, beat in zip(before, now, beats, strict=True)
    )
    return Reading(newest, changed)


def held(before: Sequence[T | None], now: Sequence[T | None]) -> tuple[T | None, ...]:
    """What the slots hold as far as it is known: a slot that could not be read holds what it held."""
    return tuple(old if new is None else new for old, new in zip(before, now, strict=True))
