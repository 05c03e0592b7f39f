"""Which layout version a controller writes: the highest that its peer is known to read.

Every beat says which versions its sender reads, in a place where the first release, which knows version 1 only, sees a
part of the counter (`wire`). So a daemon begins with version 1, which everybody reads, and changes to a higher one when
a beat of the peer says that it reads it, at once and for datagrams and disk records alike; a peer that was replaced by
an older release says less, and gets the older version with the next beat. Nothing is sent twice. What the peer reads
outlives the daemon, so that a controller whose peer is down goes on to write into its disk record what only version 2
can say. Decides by the newest beat that was heard, never by one that was overtaken. Does not know bytes or files.

What is left: an older release that replaced a newer one and can hear nothing but the disk record cannot read that, and
takes the peer for silent. Its claim then decides as for any silent peer, by the disks.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.failover.heartbeats.wire import VERSION, Decoded


@dataclass(frozen=True, slots=True)
class PeerReads:
    """The highest version that the peer reads, and the beat of this daemon's life that said so, if one did."""

    version: int = 1
    stamp: tuple[int, int] = (-1, -1)


def learn(known: PeerReads, decoded: Decoded) -> PeerReads:
    """What is known after an authentic beat was read. A peer that says nothing reads what it writes."""
    stamp = (decoded.beat.incarnation, decoded.beat.counter)
    if stamp <= known.stamp:
        return known
    return PeerReads(max(decoded.reads, decoded.version), stamp)


def version_to_write(known: PeerReads) -> int:
    """The layout version of beats to this peer. Invariant: the peer, as it spoke last, reads what is written."""
    version = max(1, min(known.version, VERSION))
    assert version == 1 or version <= known.version
    return version
