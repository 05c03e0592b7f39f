"""The two sides of a pair, and the reservation keys they write into the disks.

A key names its controller and the epoch of the claim that made it, so that a controller never mistakes its own past
life for itself. Does not know how a key reaches a disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: The upper 16 bits of every key of ours ("hg"), so that foreign keys are told apart.
KEY_MARK: Final = 0x6867

EPOCH_BITS: Final = 40
EPOCH_MAX: Final = (1 << EPOCH_BITS) - 1


class Side(StrEnum):
    """One of the two controllers."""

    A = "a"
    B = "b"

    @property
    def other(self) -> Side:
        """The peer."""
        return Side.B if self is Side.A else Side.A


@dataclass(frozen=True, slots=True)
class Key:
    """A reservation key. `side` is None for a key that hagit did not make; then `epoch` is the raw 64-bit number."""

    side: Side | None
    epoch: int

    def __str__(self) -> str:
        return f"{self.side}/{self.epoch}" if self.side else f"foreign/{self.epoch:#x}"


def encode_key(key: Key) -> int:
    """The 64-bit number that PERSISTENT RESERVE OUT carries (SPC-4, 6.16). Never 0: zero means "no key"."""
    if key.side is None:
        return key.epoch
    assert 0 < key.epoch <= EPOCH_MAX, f"epoch {key.epoch} does not fit a key"
    return KEY_MARK << 48 | (1 if key.side is Side.A else 2) << EPOCH_BITS | key.epoch


def decode_key(number: int) -> Key:
    """What a 64-bit number read from a disk means; never raises."""
    side = {1: Side.A, 2: Side.B}.get(number >> EPOCH_BITS & 0xFF)
    if number >> 48 != KEY_MARK or side is None or number & EPOCH_MAX == 0:
        return Key(None, number)
    return Key(side, number & EPOCH_MAX)
