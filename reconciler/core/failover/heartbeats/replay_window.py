"""Replay window: which authentic datagrams are new, by a sliding window over (incarnation, counter).

Each channel and sender has a window of its own. Follows the anti-replay window of RFC 4303 (3.4.3 and appendix A2),
with the sender's incarnation in place of the sequence number's upper half. A new window admits any first beat, even a
replay from before its creation. The `echo` of a beat, which must name this life of the receiver, catches such a replay.
Does not know bytes or time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

WINDOW_BEATS: Final = 64


@dataclass(frozen=True, slots=True)
class Replayed:
    """The window has admitted this beat before."""


@dataclass(frozen=True, slots=True)
class TooOld:
    """The beat is from an earlier life of the sender, or so old that the window cannot tell whether it is new."""


@dataclass(frozen=True, slots=True)
class Window:
    """The admitted beats of life `incarnation`: bit n of `seen` stands for counter `highest` - n. -1: none yet."""

    incarnation: int = -1
    highest: int = -1
    seen: int = 0

    def admit(self, incarnation: int, counter: int) -> Admitted | Replayed | TooOld:
        """Return whether a beat is new. A beat that at most 63 later ones overtook is still new."""
        if incarnation > self.incarnation:
            return Admitted(Window(incarnation, counter, 1))
        if incarnation < self.incarnation:
            return TooOld()
        ahead = counter - self.highest
        if ahead > 0:
            kept = self.seen << ahead & ((1 << WINDOW_BEATS) - 1) if ahead < WINDOW_BEATS else 0
            return Admitted(Window(incarnation, counter, kept | 1))
        behind = -ahead
        if behind >= WINDOW_BEATS:
            return TooOld()
        if self.seen >> behind & 1:
            return Replayed()
        return Admitted(Window(incarnation, self.highest, self.seen | 1 << behind))


@dataclass(frozen=True, slots=True)
class Admitted:
    """The beat is new; `window` is the window for the next beat."""

    window: Window
