"""Which layout version the peer's heartbeats ask for, for both senders of beats, and over restarts of the daemon.

Keeps what `core/failover/negotiation` decides, and has the ledger write it down when it changes. Does not know bytes.
"""

from __future__ import annotations

from reconciler.core.failover.negotiation import PeerReads, learn, version_to_write
from reconciler.core.failover.wire import Decoded
from reconciler.watchdog.ledger import Ledger


class Negotiator:
    """`version` is what to write now. `newer`: the peer's last beat says more than this release knows."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known = PeerReads(ledger.peer_reads)
        self.version = version_to_write(self._known)
        self.newer = False

    @property
    def peer_reads(self) -> int:
        """The highest version that the peer reads, as far as is known."""
        return self._known.version

    def heard(self, decoded: Decoded) -> None:
        """An authentic beat of the peer, on any channel or disk."""
        known = learn(self._known, decoded)
        if known is self._known:
            return
        changed, self._known, self.newer = known.version != self._known.version, known, decoded.newer
        if changed:
            self.version = version_to_write(known)
            self._ledger.note_peer_reads(known.version)
