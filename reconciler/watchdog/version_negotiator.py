"""The heartbeat version that both releases of the pair understand, and the reasons that name a difference.

Keeps the result of `core/failover/heartbeats/layout_version`, over restarts of the daemon too. Encodes nothing.
"""

from __future__ import annotations

from reconciler.core.failover.heartbeats.layout_version import PeerReads, learn, version_to_write
from reconciler.core.failover.heartbeats.wire import VERSION, Decoded
from reconciler.core.failover.orders.document import OrdersRead
from reconciler.core.status.watchdog import ReasonStatus
from reconciler.watchdog.durable_state import DurableState


class VersionNegotiator:
    """`version`: the version to write now. `newer`: the peer's last heartbeat has fields that this release ignores."""

    def __init__(self, durable: DurableState) -> None:
        self._durable = durable
        self._known = PeerReads(durable.peer_reads)
        self.version = version_to_write(self._known)
        self.newer = False
        self._unfollowed: tuple[str, ...] = ()

    def orders_in_force(self, read: OrdersRead) -> None:
        """Note the fields of the orders in force that this release ignores."""
        self._unfollowed = read.newer

    def reasons(self) -> tuple[ReasonStatus, ...]:
        """Differences between the two releases."""
        found = []
        if self._unfollowed:
            found.append(
                ReasonStatus(
                    code="ORDERS_NEWER",
                    text="a newer hagit wrote the orders: parts of them are not followed",
                    evidence=", ".join(self._unfollowed),
                    remedy="start the watchdog of the release that is installed: systemctl restart hagit-watchdog",
                )
            )
        if self._known.stamp >= (0, 0) and self._known.version < VERSION:
            found.append(
                ReasonStatus(
                    code="PEER_OLDER",
                    text="the peer runs an older hagit, which says and reads less than this one",
                    evidence=f"it reads heartbeats of version {self._known.version}, this release of {VERSION}",
                    remedy="install this release on the peer, too",
                )
            )
        if self.newer:
            found.append(
                ReasonStatus(
                    code="PEER_NEWER",
                    text="the peer runs a newer hagit, which says more than this one knows",
                    evidence=f"it reads heartbeats of version {self._known.version}, this release of {VERSION}",
                    remedy="install that release here, too",
                )
            )
        return tuple(found)

    def learn(self, decoded: Decoded) -> None:
        """Learn from an authentic heartbeat of the peer, on any channel or disk, which version the peer reads."""
        known = learn(self._known, decoded)
        if known is self._known:
            return
        changed, self._known, self.newer = known.version != self._known.version, known, decoded.newer
        if changed:
            self.version = version_to_write(known)
            self._durable.note_peer_reads(known.version)
