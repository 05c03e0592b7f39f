"""The file with the watchdog's orders: compiled from a revision, sealed, and published as the last step of an apply.

Decides whether the file must be written, and with which generation (`core/failover/orders/generation`). The power plan,
the serial number and the shares lie beside it and are written with it. Level-triggered: a lost, damaged or old file is
replaced like a changed one. The watchdog reads the file when it sees a change.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from reconciler.agent.hardware_identity import require_this_unit
from reconciler.agent.power_file import PowerFile
from reconciler.agent.shares_file import SharesFile
from reconciler.agent.source.content import Content
from reconciler.agent.store import Store
from reconciler.agent.unit_file import UnitFile
from reconciler.core.failover.heartbeats.keyring import decode_any
from reconciler.core.failover.orders.difference import changes
from reconciler.core.failover.orders.document import ORDERS_BYTES_MAX, decode_orders, orders_document
from reconciler.core.failover.orders.generation import generation_of, published
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.planning.plan import OrdersChange
from reconciler.errors import HagitError, StateError
from reconciler.system.files import file_stamp, read_bytes, read_json, write_atomic
from reconciler.system.node import Node, WatchdogNode
from reconciler.system.secret import document_keys, next_path, previous_path

FILE: Final = "orders.json"
#: Written by the watchdog: the highest generation it ever followed.
ACCEPTED: Final = Path("watchdog/accepted.json")
LOCK_WAIT_S: Final = 5.0


class OrdersFile:
    """The published orders of one controller; belongs to one thread."""

    def __init__(self, node: Node, watchdog: WatchdogNode, store: Store) -> None:
        self._node = node
        self._watchdog = watchdog
        self._store = store
        self._power = PowerFile(watchdog, store)
        self._unit = UnitFile(node, watchdog, store)
        self._shares = SharesFile(watchdog, store)
        self.path = store.root / FILE
        self._published: tuple[object, ...] | None = None
        self._read: tuple[object, Orders | None, bool] | None = None

    def changes(self, content: Content) -> tuple[OrdersChange, ...]:
        """The changes that publishing this content would make, in words.

        Raises NodeFileError for an unusable secret or another machine.
        """
        require_this_unit(content, self._node)
        current = self._current()
        wanted = self._wanted(content, "", current)
        found = changes(current, wanted) if wanted is not None else ()
        orders = (OrdersChange(*change) for change in found)
        return (*orders, *self._power.changes(content), *self._shares.changes(content))

    def warnings(self, content: Content) -> tuple[str, ...]:
        """What would keep the watchdog of this controller from serving the shares of this content, in sentences."""
        return self._shares.warnings(content)

    def publish(self, content: Content, commit: str) -> Orders | None:
        """Write the files of a revision; return the orders that were written, None when the file holds them already.

        `commit` is empty for the files of a directory without a commit. Raises NodeFileError for an unusable secret or
        another machine, StateError when a file cannot be written; the orders before stay in force then.
        """
        stamps = self._stamp(), self._power.stamp(), self._unit.stamp(), self._shares.stamp()
        fingerprint = (
            content.orders,
            content.power,
            content.shares,
            content.position,
            commit,
            stamps,
            self._accepted_generation(content),
        )
        if fingerprint == self._published:
            return None
        require_this_unit(content, self._node)
        with self._store.lock("orders", wait_s=LOCK_WAIT_S):
            current = self._current()
            wanted = self._wanted(content, commit, current)
            seen = self._accepted_generation(content)
            fresh = published(wanted, current, seen) if wanted is not None else None
            if fresh is not None:
                self._write(fresh)
                self._store.log_decision("orders", generation=fresh.generation, commit=commit, enabled=fresh.enabled)
            elif current is not None and not self._sealed:
                # The secret is being changed: seal the file with the new one before the old one is removed.
                self._write(current)
            plan, unit = self._power.publish(content), self._unit.publish(content)
            shares = self._shares.publish(content, commit)
            # The file may have changed since: only the next call, which reads it, counts it as published.
            settled = fresh is None and plan is None and unit is None and shares is None
            self._published = fingerprint if settled else None
        return fresh

    def generation(self) -> int | None:
        """The published generation, None without readable orders."""
        try:
            current = self._current()
        except HagitError:
            return None
        return None if current is None else current.generation

    def _wanted(self, content: Content, commit: str, current: Orders | None) -> Orders | None:
        """The orders of a revision; without failover, the present ones, disabled."""
        generation = self._place(content, commit)
        if content.orders is not None:
            return replace(content.orders, generation=generation)
        return replace(current, enabled=False, generation=generation) if current is not None else None

    def _place(self, content: Content, commit: str) -> int:
        if not commit:
            return 0
        accepted = self._store.accepted()
        blocked, pinned = accepted.blocked, accepted.pinned
        if blocked is not None and blocked.position and pinned is not None and pinned.commit == commit:
            return generation_of(accepted.base + blocked.position, blocked.position - content.position)
        return generation_of(accepted.base + content.position)

    def _write(self, orders: Orders) -> None:
        write_atomic(self.path, orders_document(orders, document_keys(self._watchdog)[0]), mode=0o600)

    @property
    def _sealed(self) -> bool:
        """Whether the published orders are sealed with the present secret."""
        return self._read is not None and self._read[2]

    def _current(self) -> Orders | None:
        """The published orders; None for a file that is missing, damaged, or sealed with another secret."""
        stamp = self._stamp()
        if self._read is not None and self._read[0] == stamp:
            return self._read[1]
        keys = document_keys(self._watchdog)
        try:
            data = read_bytes(self.path, ORDERS_BYTES_MAX)
        except StateError:
            data = None
        read, at = decode_any(data, keys, decode_orders) if data is not None else (None, -1)
        current = read if isinstance(read, Orders) else None
        self._read = stamp, current, at == 0
        return current

    def _accepted_generation(self, content: Content) -> int:
        """The highest generation that the watchdog followed for this pair; 0 for a damaged file."""
        try:
            document = read_json(self._store.root / ACCEPTED)
        except StateError:
            return 0
        if not isinstance(document, dict):
            return 0
        pair, generation = document.get("pair"), document.get("generation")
        return generation if pair == content.settings.pair.name and isinstance(generation, int) else 0

    def _stamp(self) -> tuple[tuple[int, ...], ...]:
        """A value that changes with the file or the secret."""
        secret = self._watchdog.secret
        return tuple(file_stamp(path) for path in (self.path, secret, next_path(secret), previous_path(secret)))
