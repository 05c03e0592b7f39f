"""Which authentic datagrams are new: a sliding window over (incarnation, counter), one for each channel and sender.

Follows the anti-replay window of RFC 4303 (3.4.3 and appendix A2), with the sender's incarnation in place of the
sequence number's upper half. A window that has just been made admits what it is shown, even a replay from before: that
is caught by the `echo` of a beat, which must name this life of the receiver. Does not know bytes or time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

WINDOW_BEATS: Final = 64


@dataclass(frozen=True, slots=True)
class Replayed:
    """This very beat was admitted before."""


@dataclass(frozen=True, slots=True)
class TooOld:
    """From an earlier life of the sender, or so far behind that nobody knows whether it was admitted before."""


@dataclass(frozen=True, slots=True)
class Window:
    """What was admitted: of life `incarnation`, bit n of `seen` says that `highest` - n was. -1: nothing yet."""

    incarnation: int = -1
    highest: int = -1
    seen: int = 0

    def admit(self, incarnation: int, counter: int) -> Admitted | Replayed | TooOld:
        """Whether a beat is new. A beat that was overtaken by others is, within 64 beats."""
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
    """The beat is new; `window` is what to ask the next time."""

    window: Window
