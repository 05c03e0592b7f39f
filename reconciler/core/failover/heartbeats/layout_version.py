"""Layout version: the version in which a controller writes its beats, the highest that its peer is known to read.

Every beat names the highest version that its sender reads, in a byte where the first release, which knows version 1
only, sees a part of the counter (`wire`). So a daemon begins with version 1, which every release reads. It changes to a
higher version, for datagrams and disk records at once, when a beat of the peer says that the peer reads it. A peer that
was replaced by an older release names a lower version, and gets it with the next beat. Nothing is sent twice. The
version that the peer reads outlives the daemon, so that a controller whose peer is down still writes to its disk record
the fields that only version 2 has. Decides by the newest beat heard, never by an overtaken one. Does not know bytes or
files.

A known limit: an older release that replaced a newer one and can hear only the disk record cannot read that record, and
takes the peer for silent. Its claim then decides by the disks, as for any silent peer.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.failover.heartbeats.wire import VERSION, Decoded


@dataclass(frozen=True, slots=True)
class PeerReads:
    """The highest version that the peer reads, and the (incarnation, counter) of the beat that named it, if any."""

    version: int = 1
    stamp: tuple[int, int] = (-1, -1)


def learn(known: PeerReads, decoded: Decoded) -> PeerReads:
    """Return the knowledge after an authentic beat. A peer that names no version reads the version that it writes."""
    stamp = (decoded.beat.incarnation, decoded.beat.counter)
    if stamp <= known.stamp:
        return known
    return PeerReads(max(decoded.reads, decoded.version), stamp)


def version_to_write(known: PeerReads) -> int:
    """Return the layout version of beats to this peer. Invariant: by its last beat, the peer reads this version."""
    version = max(1, min(known.version, VERSION))
    assert version == 1 or version <= known.version
    return version
