"""Disk heartbeats on the arbitration disks: seals the records of this controller and reads those of the peer.

A record is a sign of life when its bytes change, whether it can be decoded or not
(`core/failover/heartbeats/record_slots`). Counts the records that cannot be decoded, so that the status can name a
wrong secret. Leaves reading and writing the disks to the workers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from reconciler.core.failover.heartbeats.disk_record import decode_record, encode_record, record_way
from reconciler.core.failover.heartbeats.failure_detector import harmless
from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.heartbeats.keyring import decode_any
from reconciler.core.failover.heartbeats.record_slots import Reading, compare, held
from reconciler.core.failover.heartbeats.wire import Decoded, Direction
from reconciler.core.failover.machine.pending_orders import with_records
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.status.watchdog import ReasonStatus
from reconciler.watchdog.pair_keys import PairKeys
from reconciler.watchdog.version_negotiator import VersionNegotiator


class DiskRecords:
    """The records on the arbitration disks of the orders in force and of pending orders."""

    def __init__(self, keys: PairKeys, negotiator: VersionNegotiator) -> None:
        self._keys, self._negotiator = keys, negotiator
        self._orders: Orders | None = None
        self._outgoing: tuple[Direction, ...] = ()
        self._incoming: tuple[tuple[Direction, ...], ...] = ()
        #: The arbitration disks, and what the peer's slot on each held in the last look.
        self._disks: tuple[str, ...] = ()
        self._slots: tuple[bytes | None, ...] = ()
        self._rejected: Counter[str] = Counter()
        keys.listeners.append(self._set_keys)

    def set_orders(self, orders: Orders, pending: Orders | None) -> None:
        """Use the arbitration disks of these orders. A disk that stays keeps what its slot held."""
        known = dict(zip(self._disks, self._slots, strict=True))
        self._orders, self._disks = orders, with_records(orders, pending).voters
        self._slots = tuple(known.get(disk) for disk in self._disks)
        self._set_keys()

    def sectors(self, beat: Beat) -> tuple[bytes, ...]:
        """The heartbeat as one sealed sector for each arbitration disk in force."""
        beat = replace(beat, accepts=self._keys.ring.announced)
        return tuple(encode_record(beat, way, self._negotiator.version) for way in self._outgoing)

    def read(self, records: tuple[bytes | None, ...], core: State | None) -> Reading:
        """The newest heartbeat in the peer's slots, and whether the peer writes records that cannot be decoded."""
        read: list[Decoded | None] = []
        rejected = Counter[str]()
        for data, ways in zip(records, self._incoming, strict=True):
            decoded, _ = decode_any(data, ways, decode_record) if data is not None else (Refused(Refusal.BLANK), -1)
            read.append(None if isinstance(decoded, Refused) else decoded)
            if isinstance(decoded, Refused) and not harmless(core.peer if core is not None else None, decoded.why):
                rejected[str(decoded)] += 1
        beats = [one.beat if one is not None else None for one in read]
        reading = compare(self._slots, records, beats, core.peer.incarnation if core is not None else 0)
        self._rejected, self._slots = rejected, held(self._slots, records)
        for one in (found for found in read if found is not None and found.beat is reading.beat):
            self._negotiator.learn(one)
        return reading

    def reasons(self) -> tuple[ReasonStatus, ...]:
        """The peer's records that the last look could not decode."""
        return tuple(
            ReasonStatus(
                code="RECORD_REFUSED",
                text=f"disk heartbeats of the peer are refused: {problem}",
                evidence=f"{count} in the last look that found any",
                remedy="put the same secret on both controllers",
            )
            for problem, count in self._rejected.items()
        )

    def _set_keys(self) -> None:
        """Seal with the secret in force, and accept every secret of the keyring."""
        orders, ring = self._orders, self._keys.ring
        if orders is not None:
            self._outgoing = tuple(record_way(ring.current, orders.pair, disk, orders.side) for disk in orders.voters)
            peer = orders.side.other
            self._incoming = tuple(
                tuple(record_way(secret, orders.pair, disk, peer) for secret in ring.accepted) for disk in self._disks
            )
