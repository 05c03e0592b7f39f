"""Transaction groups of the pools: the marks by which an owner makes an older copy of a pool recognizable.

An owner repeats, in its heartbeats and in its disk record, the newest transaction group of each pool that is committed
to the disks. *No pool is served that is older than its last owner's mark.* A mark is about one pool only, so it carries
24 bits folded from the pool's GUID. A pool made anew under the same name begins at low numbers, and the marks of its
predecessor do not apply to it. An owner reports only committed groups, because the group that it is still writing may
be on no disk when it dies. Writes that ZFS acknowledged after the last commit are in the intent log of the same disks.
ZFS commits when it loses a disk, so a disk without later writes has a lower number, too.

Decides which marks are remembered and compares them. Does not know where a number was read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: Bits of a mark for the transaction group. At a thousand commits a second they last for 34 years.
TXG_BITS: Final = 40
TAG_BITS: Final = 24
#: The empty mark: it names no pool and no transaction group.
NOTHING: Final = 0


def tag_of(guid: int) -> int:
    """Return 24 bits that tell this pool from another pool of the same name."""
    return (guid ^ guid >> TAG_BITS ^ guid >> 2 * TAG_BITS) & ((1 << TAG_BITS) - 1)


def mark(guid: int, txg: int) -> int:
    """Return the mark of a pool; NOTHING if the GUID or the commit is unknown, or the number is out of range."""
    if not guid or not 0 < txg < 1 << TXG_BITS:
        return NOTHING
    return tag_of(guid) << TXG_BITS | txg


def txg_of(word: int, guid: int) -> int:
    """Return the transaction group that a mark names for this pool; 0 if it names another pool, or none."""
    return word & ((1 << TXG_BITS) - 1) if word and word >> TXG_BITS == tag_of(guid) else 0


def speaks_of_another(word: int, guid: int) -> bool:
    """Whether a mark was made for another pool than this one."""
    return word != NOTHING and word >> TXG_BITS != tag_of(guid)


def joined(mine: tuple[int, ...], theirs: Iterable[int], *, newer: bool) -> tuple[int, ...]:
    """Merge two lists of marks, pool by pool. For the same pool take the higher; otherwise theirs only if `newer`."""
    found = list(mine)
    for at, word in enumerate(theirs):
        if at == len(found):
            found.append(NOTHING)
        same = found[at] >> TXG_BITS == word >> TXG_BITS
        if word and (not found[at] or (word > found[at] if same else newer)):
            found[at] = word
    return tuple(found)
