"""The two sides of a pair, and the reservation keys that they write to the disks.

A key carries a mark of hagit, the side, and a 40-bit number that rises with every claim: 18 bits count the claims, 10
bits are a tag of the pair, 12 bits a tag of the machine. So two machines that both take themselves for controller `a`
never choose the same key, and a controller recognizes the keys of another pair on the same shelf. The earlier release
writes plain numbers: it begins at 1 and adds 1 to the highest number that it reads. Hagit takes a number without a
counter for such a key of our pair, lower than every number with a counter. Does not know how a key reaches a disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final

#: The upper 16 bits of every key of ours ("hg"), so that foreign keys are told apart.
KEY_MARK: Final = 0x6867

EPOCH_BITS: Final = 40
EPOCH_MAX: Final = (1 << EPOCH_BITS) - 1

MACHINE_BITS: Final = 12
PAIR_BITS: Final = 10
TAG_BITS: Final = MACHINE_BITS + PAIR_BITS
COUNTER_MAX: Final = EPOCH_MAX >> TAG_BITS
#: Heartbeats and records raise the claim counter no further than this. Only keys on the disks do.
COUNTER_HEARD_MAX: Final = COUNTER_MAX // 2
#: Tags of machines run from 1 to this. A peer of the earlier release adds 1 for each of its claims, and the sum must
#: not carry into the tag of the pair.
MACHINE_TAGS: Final = 3_071


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
    """A reservation key. `side` is None for a key that is not of our pair; then `epoch` is the raw 64-bit number."""

    side: Side | None
    epoch: int

    @property
    def claim(self) -> int:
        """The claim number that people read: the counter, or the whole number in a key of the earlier release."""
        return self.epoch >> TAG_BITS or self.epoch

    @property
    def machine(self) -> int:
        """The tag of the machine; 0 if the key has none."""
        structured = self.side is not None and self.epoch >> TAG_BITS
        return self.epoch & ((1 << MACHINE_BITS) - 1) if structured else 0

    def __str__(self) -> str:
        if self.side is None:
            return f"foreign/{self.epoch:#x}"
        return f"{self.side}/{self.claim}-{self.machine:03x}" if self.machine else f"{self.side}/{self.epoch}"


@lru_cache(maxsize=64)
def pair_tag(pair: str) -> int:
    """Return 10 bits of a SHA-256 hash of the pair's name."""
    return int.from_bytes(sha256(pair.encode()).digest()[:2]) & ((1 << PAIR_BITS) - 1)


def machine_tag(machine: int) -> int:
    """Return the tag of a machine number; 0 for 0, which is no machine."""
    return 1 + machine % MACHINE_TAGS if machine else 0


def epoch_of(counter: int, pair: str, machine: int) -> int:
    """Return the epoch of a claim, composed of its counter and the tags of pair and machine."""
    return counter << TAG_BITS | pair_tag(pair) << MACHINE_BITS | machine_tag(machine)


def next_epoch(highest: int, pair: str, machine: int) -> int:
    """Return the epoch of a new claim. Its counter is above that of `highest`. Machine 0 adds 1 to the plain number."""
    return epoch_of((highest >> TAG_BITS) + 1, pair, machine) if machine else highest + 1


def is_credible(highest: int, epoch: int) -> bool:
    """Whether to believe an epoch that a heartbeat or a record names. `highest`: the highest epoch known.

    *The peer's messages never use up more than half of the epochs*: a forged message under a leaked secret leaves
    epochs for all later claims. Keys on the disks are always believed, because they name every claim that could own a
    disk.
    """
    return epoch >> TAG_BITS <= max(COUNTER_HEARD_MAX, highest >> TAG_BITS)


def rank(epoch: int) -> int:
    """Return the rank of a claim, its counter: the higher rank is the newer claim. Claims of equal rank are rivals.

    A plain number of the earlier release is its own rank, below all others.
    """
    return epoch >> TAG_BITS << TAG_BITS or epoch


def of_another_pair(key: Key, pair: str) -> bool:
    """Whether hagit made this key for another pair than `pair`."""
    return key.side is not None and key.epoch >> TAG_BITS > 0 and _pair_bits(key) != pair_tag(pair)


def is_over(key: Key, mine: Key) -> bool:
    """Whether `key` is of our pair and from before our claim `mine`, or lost the race against it."""
    if key.side is None or rank(key.epoch) > rank(mine.epoch):
        return False
    # A key without a counter belongs to our pair by assumption; where it has one, `mine` has one, too.
    return not key.epoch >> TAG_BITS or _pair_bits(key) == _pair_bits(mine)


def _pair_bits(key: Key) -> int:
    return (key.epoch >> MACHINE_BITS) & ((1 << PAIR_BITS) - 1)


def encode_key(key: Key) -> int:
    """Return the 64-bit number that PERSISTENT RESERVE OUT carries (SPC-4, 6.16). Never 0: zero means "no key"."""
    if key.side is None:
        return key.epoch
    assert 0 < key.epoch <= EPOCH_MAX, f"epoch {key.epoch} does not fit a key"
    return KEY_MARK << 48 | (1 if key.side is Side.A else 2) << EPOCH_BITS | key.epoch


def decode_key(number: int) -> Key:
    """Return the key for a 64-bit number read from a disk, whichever pair it belongs to; never raises."""
    side = {1: Side.A, 2: Side.B}.get(number >> EPOCH_BITS & 0xFF)
    if number >> 48 != KEY_MARK or side is None or number & EPOCH_MAX == 0:
        return Key(None, number)
    return Key(side, number & EPOCH_MAX)
