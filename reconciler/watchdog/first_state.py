"""The state with which a daemon begins: its orders, and what the files say of the daemons before it."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.failover.agreement import with_agreement
from reconciler.core.failover.orders import Orders
from reconciler.core.failover.pending_orders import resumed
from reconciler.core.failover.state import State, initial
from reconciler.core.failover.why import Decision
from reconciler.watchdog.durable_state import Ledger
from reconciler.watchdog.event_loop import monotonic_ms


def first_state(orders: Orders, ledger: Ledger, machine: int, unit: Decision | None) -> State:
    """The core's state before its first event. What an earlier daemon of this boot armed goes on counting."""
    recent = ledger.recent(orders.limits)
    orders, pending = resumed(orders, ledger.layout)
    core = initial(orders, ledger.incarnation, monotonic_ms(), ledger.remembered, *recent, machine, pending)
    return replace(with_agreement(core, ledger.agreement), unit=unit, armed=ledger.fed)
