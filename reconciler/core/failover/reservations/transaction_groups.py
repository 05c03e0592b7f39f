"""How far the pools have come: the word of their last owner, by which an older copy is known.

An owner says of each pool the newest transaction group that is committed to the disks, and says it again and again, in
its heartbeats and in its disk record. *No pool is served that is older than the last owner's word.* A number speaks of
one pool only, so it carries 24 bits that are folded from the pool's GUID: a pool that was made anew under the same name
begins at low numbers, and is not measured by those of its predecessor. Only what is committed is said, because what is
merely being written need not be on any disk when its writer dies. What was acknowledged after the last commit is in the
intent log of the same disks; and ZFS commits when a disk is lost, so a disk without later writes is behind by this
number, too.

Decides what is remembered and compared; does not know where it was read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: A mark has so many bits for the transaction group; at a thousand commits a second they last for 34 years.
TXG_BITS: Final = 40
TAG_BITS: Final = 24
#: A mark of this stands for nothing.
NOTHING: Final = 0


def tag_of(guid: int) -> int:
    """24 bits that tell this pool from another of its name."""
    return (guid ^ guid >> TAG_BITS ^ guid >> 2 * TAG_BITS) & ((1 << TAG_BITS) - 1)


def mark(guid: int, txg: int) -> int:
    """What an owner says of a pool; NOTHING where it knows no GUID, no commit, or a number that no pool reaches."""
    if not guid or not 0 < txg < 1 << TXG_BITS:
        return NOTHING
    return tag_of(guid) << TXG_BITS | txg


def txg_of(word: int, guid: int) -> int:
    """The transaction group that this pool has reached by a mark; 0 where it speaks of another pool, or of none."""
    return word & ((1 << TXG_BITS) - 1) if word and word >> TXG_BITS == tag_of(guid) else 0


def speaks_of_another(word: int, guid: int) -> bool:
    """Whether a mark was made for another pool than this one."""
    return word != NOTHING and word >> TXG_BITS != tag_of(guid)


def joined(mine: tuple[int, ...], theirs: Iterable[int], *, newer: bool) -> tuple[int, ...]:
    """Two words in one, pool by pool: the higher of one pool; of two pools, theirs only when it is `newer`."""
    found = list(mine)
    for at, word in enumerate(theirs):
        if at == len(found):
            found.append(NOTHING)
        same = found[at] >> TXG_BITS == word >> TXG_BITS
        if word and (not found[at] or (word > found[at] if same else newer)):
            found[at] = word
    return tuple(found)
