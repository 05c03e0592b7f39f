"""The files that the agent publishes: opens orders, power plan and shares, or says why that is not possible.

Decides only about the first orders of a daemon; afterwards the core decides which orders may replace them. A daemon
over imported pools that cannot open the published orders continues with those of its predecessor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from reconciler.core.failover.heartbeats.authentication import SealKey
from reconciler.core.failover.heartbeats.keyring import decode_any
from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.state import Memory
from reconciler.core.failover.orders.acceptance import unacceptable
from reconciler.core.failover.orders.document import OrdersRead, read_orders_document
from reconciler.core.failover.orders.hardware_unit import Unit, decode_unit
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.reservations.key import Side
from reconciler.core.power.document import decode_power
from reconciler.core.power.plan import PowerPlan
from reconciler.core.shares.document import shares_body
from reconciler.system.file_thread import FileContent, FileThread
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.pair_keys import PairKeys
from reconciler.watchdog.power_fencing import PowerFencing


def read_orders(file: FileContent, keys: Sequence[SealKey]) -> OrdersRead | str:
    """Open the orders in this file. Returns the reason in words if there are none."""
    if file.problem:
        return f"the orders cannot be read: {file.problem}"
    if file.content is None:
        return "the agent has not published orders yet"
    read = decode_any(file.content, keys, read_orders_document)[0]
    return f"the orders are {read}" if isinstance(read, Refused) else read


def read_power(file: FileContent, keys: Sequence[SealKey]) -> PowerPlan | Refused | None:
    """Open the power plan in this file. Returns the refusal if it cannot be opened, None if there is no file."""
    if file.problem:
        return Refused(Refusal.AUTHENTIC_DEFECT, f"it cannot be read: {file.problem}")
    return None if file.content is None else decode_any(file.content, keys, decode_power)[0]


def read_shares(file: FileContent, keys: Sequence[SealKey]) -> bytes | Refused | None:
    """Return the first line of this file of shares, the refusal of its seal, or None if there is no file."""
    if file.problem:
        return Refused(Refusal.AUTHENTIC_DEFECT, f"it cannot be read: {file.problem}")
    return None if file.content is None else decode_any(file.content, keys, shares_body)[0]


def read_unit(file: FileContent, keys: Sequence[SealKey]) -> Unit | Refused | None:
    """Open the serial numbers in this file. Returns the refusal if it cannot be opened, None if there is no file."""
    if file.problem:
        return Refused(Refusal.AUTHENTIC_DEFECT, f"it cannot be read: {file.problem}")
    return None if file.content is None else decode_any(file.content, keys, decode_unit)[0]


def unadopted(imported: Collection[str], generation_max: int, memory: Memory | None) -> str:
    """Why a daemon must not start: pools are imported, and no orders were ever in force here. "" if it may start.

    The core would have to reset the machine, because no controller has claimed these pools. Before the first start an
    operator can do that with `hagit adopt`.
    """
    if not imported or generation_max or memory is not None:
        return ""
    pools = ", ".join(sorted(imported))
    return f"{pools}: imported here before the watchdog ever ran; stop it, run `hagit adopt`, and start it again"


def first_refused(orders: Orders, side: Side, pair: str, generation_max: int) -> str:
    """Why a daemon without orders does not start with these; "" if it does.

    `pair` and `generation_max` are those of the last orders in force, "" and 0 if there were none. Orders that were in
    force before a restart are accepted even if a rule of a newer release calls them unsafe: otherwise an upgrade would
    reset a controller that serves. The status names the rule (ORDERS_UNSAFE) while they are followed.
    """
    refused = unacceptable(orders, pair or orders.pair, side, generation_max)
    in_force = (orders.pair, orders.generation) == (pair, generation_max)
    if refused is None or (refused.code is Code.ORDERS_UNSAFE and in_force):
        return ""
    joining = "; to join another pair, remove watchdog/accepted.json" if refused.code is Code.ORDERS_FOREIGN else ""
    return f"{refused}{joining}"


class PublishedFiles:
    """Both files of one daemon. A file that cannot be opened is tried again after a change of secrets.

    `on_first_orders` is called when the daemon has its first orders. `imported_pools` returns the pools of orders that
    are imported here now.
    """

    def __init__(
        self, side: Side, daemon: Daemon, power: PowerFencing, keys: PairKeys, orders: FileThread, plans: FileThread
    ) -> None:
        self._side, self._daemon, self._power, self._pair_keys = side, daemon, power, keys
        self._files = (orders, plans)
        self._orders: FileContent | None = None
        self._plan: FileContent | None = None
        self.on_first_orders: Callable[[], None] = lambda: None
        #: In a successor before the hand-over: called with the orders, or the reason in words why there are none.
        self.on_orders_to_prepare: Callable[[Orders | str], None] | None = None
        self.imported_pools: Callable[[Orders], Collection[str]] = lambda orders: ()
        #: Called with orders that are in force, as they were read.
        self.on_orders_in_force: Callable[[OrdersRead], None] = lambda read: None

    def orders_changed(self) -> None:
        """Read the changed orders."""
        file = self._files[0].take_content()
        if file is not None:
            self._orders = file
            self._follow_orders(file)

    def power_plan_changed(self) -> None:
        """Read the changed power plan."""
        file = self._files[1].take_content()
        if file is not None:
            self._plan = file
            self._power.set_plan(read_power(file, self._pair_keys.documents))

    def reread(self) -> None:
        """Open both files again: other secrets are in force."""
        if self._orders is not None:
            self._follow_orders(self._orders)
        if self._plan is not None:
            self._power.set_plan(read_power(self._plan, self._pair_keys.documents))

    def _follow_orders(self, file: FileContent) -> None:
        if self.on_orders_to_prepare is not None:
            found = read_orders(file, self._pair_keys.documents)
            self.on_orders_to_prepare(found if isinstance(found, str) else found.orders)
            return
        daemon, durable = self._daemon, self._daemon.durable
        first, read = daemon.core is None, read_orders(file, self._pair_keys.documents)
        if isinstance(read, str):
            kept = durable.kept_orders() if first and durable.memory is not None else None
            if kept is not None and kept.side is self._side:
                daemon.follow_orders(kept)
                self.on_first_orders()
            daemon.orders_refusal = read
            return
        orders = read.orders
        if first:
            daemon.orders_refusal = first_refused(
                orders, self._side, durable.pair, durable.generation_max
            ) or unadopted(self.imported_pools(orders), durable.generation_max, durable.memory)
            if daemon.orders_refusal:
                return
        daemon.follow_orders(orders)
        if first:
            self.on_first_orders()
        if daemon.core is not None and daemon.core.orders == orders:
            self.on_orders_in_force(read)
