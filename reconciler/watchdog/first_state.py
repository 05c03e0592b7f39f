"""The state with which a daemon begins: its orders, and what the files say of the daemons before it."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.failover.agreement import with_agreement
from reconciler.core.failover.orders import Orders
from reconciler.core.failover.pending_orders import resumed
from reconciler.core.failover.state import State, initial
from reconciler.core.failover.why import Decision
from reconciler.watchdog.durable_state import DurableState
from reconciler.watchdog.event_loop import monotonic_ms


def first_state(orders: Orders, durable: DurableState, machine: int, unit: Decision | None) -> State:
    """The core's state before its first event. What an earlier daemon of this boot armed goes on counting."""
    recent = durable.recent_counts(orders.limits)
    orders, pending = resumed(orders, durable.layout)
    core = initial(orders, durable.incarnation, monotonic_ms(), durable.memory, *recent, machine, pending)
    return replace(with_agreement(core, durable.agreement), unit=unit, armed=durable.deadman_fed)
