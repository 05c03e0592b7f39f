"""`hagit adopt`: takes pools that are imported here already under a reservation, before the watchdog first runs.

Shows what it would do, asks, and runs the commands of `core/failover/reservations/adoption` one after the other. The
watchdog must not run meanwhile. The command leaves the memory of a watchdog that died during an import; the next start
of the watchdog continues from there, under the reservation that was taken here.
"""

from __future__ import annotations

import sys
from typing import Final

from reconciler.cli.disk_access import DiskAccess, IsolatedAdapters
from reconciler.cli.options import NodeOption, YesOption
from reconciler.cli.terminal import confirmed
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import Memory
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations import adoption
from reconciler.core.failover.reservations.claim import Answer, Command
from reconciler.core.failover.reservations.current_copies import pools_of
from reconciler.core.failover.reservations.key import Key, Side, next_epoch
from reconciler.core.failover.reservations.reservation_state import UNANSWERED
from reconciler.errors import StateError
from reconciler.system.files import PUBLIC_DIRECTORY, Lock, make_directory, state_error
from reconciler.system.machine import boot_id, machine_number, machine_serial
from reconciler.system.shelf import imported
from reconciler.system.zfs import arguments, tools
from reconciler.watchdog.durable_state import write_memory

#: Time limit of the commands to all disks.
COMMAND_S: Final = 8.0
#: Properties of a pool with which a fenced controller is sure to stop: see `system/zfs/pool_adapter`.
PROPERTIES: Final = (("failmode", "panic"), ("cachefile", "none"))
DONE, FAILED = 0, 1


def adopt(yes: YesOption = False, node: NodeOption = None) -> int:
    """Take pools that are imported here already, before the first start of the watchdog.

    A watchdog resets a controller that has pools imported without a reservation: the
    other one may have them as well. This command reserves every disk of the orders
    for this controller, if no other holds any of them, and leaves the pools imported
    and mounted. Run it on the controller that has the pools, after `hagit apply` has
    written the orders and before the watchdog is started.

    \b
    Example:  hagit apply && hagit adopt && systemctl start hagit-watchdog
    """
    access = DiskAccess(node)
    assert access.node.watchdog is not None
    run = access.node.watchdog.run
    try:
        make_directory(run, PUBLIC_DIRECTORY)
        with Lock(run / "watchdog.lock", "hagit adopt"):
            orders = access.orders
            refused = adoption.refusals(orders, access.disks.pools(COMMAND_S).pools, access.disks.look(COMMAND_S))
            if refused:
                raise StateError(
                    f"nothing is adopted: {'; '.join(refused)}",
                    remedy="`hagit reservations` shows every disk; nothing was changed",
                )
            here = imported(access.node.watchdog.shelf, orders)
            names, count = ", ".join(here or pools_of(orders)), len(orders.disks)
            print(f"{names}: imported here. No controller holds any of the {count} disks; this one takes them.")
            if not yes and not confirmed("Make sure that the other controller has none of these pools. Adopt them?"):
                print("Nothing was done.", file=sys.stderr)
                return FAILED
            boot = boot_id()
            # No disk is held: this is the first claim of the pair.
            machine = machine_number(boot, machine_serial(access.node.serial_file))
            key = Key(Side(access.node.controller), next_epoch(0, orders.pair, machine))
            _set_pool_properties(here)
            _take_disks(access.disks, orders, key)
            try:
                write_memory(run, boot, Memory(Phase.IMPORTING, key.epoch))
            except OSError as error:
                # Disks that are held without this memory could not be adopted again.
                access.disks.perform(adoption.undone(orders, key), COMMAND_S)
                raise state_error(
                    run / "memory", error, "write what the watchdog goes on from (every disk was given back)"
                ) from error
    finally:
        access.close()
    print("Adopted. Start the watchdog: systemctl start hagit-watchdog")
    return DONE


def _set_pool_properties(pools: tuple[str, ...]) -> None:
    """Set the properties that an import by the watchdog sets. Raises StateError."""
    for pool in pools:
        for name, value in PROPERTIES:
            match tools.run(arguments.set_pool_property(pool, name, value), deadline_s=COMMAND_S):
                case tools.Ended(0, _, _):
                    continue
                case _:
                    raise StateError(
                        f"nothing is adopted: {name} of {pool} cannot be set to {value}",
                        remedy=f"see what `zpool set {name}={value} {pool}` says",
                    )


def _take_disks(disks: IsolatedAdapters, orders: Orders, key: Key) -> None:
    """Register, reserve, and look at every disk. If one was not taken, release all and raise StateError."""
    failed = _refusing_disks(disks, orders, adoption.registrations(orders, key))
    failed = failed or _refusing_disks(disks, orders, adoption.reservations(orders, key))
    if not failed:
        replies = disks.perform(adoption.looks(orders, key), COMMAND_S)
        views = tuple(reply.view if reply.answer is Answer.GOOD else UNANSWERED for reply in replies)
        failed = adoption.missed(orders, key, views)
    if failed:
        disks.perform(adoption.undone(orders, key), COMMAND_S)
        raise StateError(
            f"nothing is adopted: {', '.join(failed)} could not be taken",
            remedy="every disk was given back; `hagit reservations` says who holds it",
        )


def _refusing_disks(disks: IsolatedAdapters, orders: Orders, commands: tuple[Command, ...]) -> tuple[str, ...]:
    """Send the commands. Returns the names of the disks that refused theirs."""
    replies = disks.perform(commands, COMMAND_S)
    answers = zip(commands, replies, strict=True)
    return tuple(orders.disks[one.disk] for one, reply in answers if reply.answer is not Answer.GOOD)
