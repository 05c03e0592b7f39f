"""The file with the power plan: compiled from a revision and sealed, beside the watchdog's orders.

Level-triggered: a lost, damaged or old file is replaced like a changed one. A revision without power fencing publishes
a plan without switches, and none where there never was one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.agent.source.content import Content
from reconciler.agent.store import Store
from reconciler.core.failover.heartbeats.keyring import decode_any
from reconciler.core.planning.plan import OrdersChange
from reconciler.core.power.document import POWER_BYTES_MAX, decode_power, power_document
from reconciler.core.power.plan import PowerPlan, PowerSwitch
from reconciler.errors import StateError
from reconciler.system.files import file_stamp, read_bytes, write_atomic
from reconciler.system.node import WatchdogNode
from reconciler.system.secret import document_keys

FILE: Final = "power.json"


class PowerFile:
    """The published power plan of one controller; belongs to one thread."""

    def __init__(self, watchdog: WatchdogNode, store: Store) -> None:
        self._watchdog = watchdog
        self.path = store.root / FILE
        self._sealed = False

    def changes(self, content: Content) -> tuple[OrdersChange, ...]:
        """The changes that publishing this content would make, in words.

        Raises NodeFileError for an unusable secret.
        """
        current, wanted = self._current(), _wanted(content)
        return tuple(_changes(current, wanted))

    def publish(self, content: Content) -> PowerPlan | None:
        """Write the plan of a revision; return it, or None when the file holds it already.

        The caller holds the lock of the orders. Raises NodeFileError for an unusable secret, StateError when the file
        cannot be written.
        """
        current, wanted = self._current(), _wanted(content)
        if current is None and not wanted.switches and not file_stamp(self.path):
            return None
        if current != wanted or not self._sealed:
            write_atomic(self.path, power_document(wanted, document_keys(self._watchdog)[0]), mode=0o600)
        return wanted if current != wanted else None

    def stamp(self) -> tuple[int, ...]:
        """A value that changes with the file."""
        return file_stamp(self.path)

    def _current(self) -> PowerPlan | None:
        """The published plan; None for a file that is missing, damaged, or sealed with another secret."""
        try:
            data = read_bytes(self.path, POWER_BYTES_MAX)
        except StateError:
            return None
        if data is None:
            return None
        read, at = decode_any(data, document_keys(self._watchdog), decode_power)
        #: Whether it is sealed with the present secret.
        self._sealed = at == 0
        return read if isinstance(read, PowerPlan) else None


def _wanted(content: Content) -> PowerPlan:
    return content.power or PowerPlan(content.settings.pair.name, ())


def _changes(before: PowerPlan | None, after: PowerPlan) -> Iterator[OrdersChange]:
    old = {switch.side: _words(switch) for switch in before.switches} if before is not None else {}
    new = {switch.side: _words(switch) for switch in after.switches}
    for side in sorted({*old, *new}):
        if old.get(side) != new.get(side):
            yield OrdersChange(f"power of controller {side}", old.get(side, ""), new.get(side, ""))
    if before is not None and before.switches and after.switches:
        for what, was, now in (
            ("check of the power switch", f"{before.check_ms} ms", f"{after.check_ms} ms"),
            ("restart after a power cut", _yes(before.restart), _yes(after.restart)),
        ):
            if was != now:
                yield OrdersChange(what, was, now)


def _words(switch: PowerSwitch) -> str:
    options = " ".join(f"{option.name}={option.value}" for option in switch.options)
    return f"{switch.agent} {options}".strip() + f" within {switch.timeout_ms} ms"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
