"""The file with the serial number that the Pair gives this controller: sealed, beside the watchdog's orders.

Level-triggered: a lost, damaged or old file is replaced like a changed one. A Pair without serial numbers publishes no
file where there never was one.
"""

from __future__ import annotations

from typing import Final

from reconciler.agent.source.content import Content
from reconciler.agent.store import Store
from reconciler.core.failover.heartbeats.keyring import decode_any
from reconciler.core.failover.orders.hardware_unit import UNIT_BYTES_MAX, Unit, decode_unit, unit_document
from reconciler.core.failover.reservations.key import Side
from reconciler.errors import StateError
from reconciler.system.files import file_stamp, read_bytes, write_atomic
from reconciler.system.node import Node, WatchdogNode
from reconciler.system.secret import document_keys

FILE: Final = "unit.json"


class UnitFile:
    """The published serial number of one controller; belongs to one thread."""

    def __init__(self, node: Node, watchdog: WatchdogNode, store: Store) -> None:
        self._controller, self._watchdog = node.controller, watchdog
        self.path = store.root / FILE
        self._sealed = False

    def publish(self, content: Content) -> Unit | None:
        """Write the serial number of a revision; return it, or None when the file holds it already.

        The caller holds the lock of the orders. Raises NodeFileError for an unusable secret, StateError when the file
        cannot be written.
        """
        pair = content.settings.pair
        serial = pair.serials.get(self._controller, "")
        wanted = Unit(pair.name, Side(self._controller), (serial,) if serial else ())
        current = self._current()
        if not serial and not file_stamp(self.path):
            return None
        if current != wanted or not self._sealed:
            write_atomic(self.path, unit_document(wanted, document_keys(self._watchdog)[0]), mode=0o600)
        return wanted if current != wanted else None

    def stamp(self) -> tuple[int, ...]:
        """A value that changes with the file."""
        return file_stamp(self.path)

    def _current(self) -> Unit | None:
        try:
            data = read_bytes(self.path, UNIT_BYTES_MAX)
        except StateError:
            return None
        if data is None:
            return None
        read, at = decode_any(data, document_keys(self._watchdog), decode_unit)
        #: Whether it is sealed with the present secret.
        self._sealed = at == 0
        return read if isinstance(read, Unit) else None
