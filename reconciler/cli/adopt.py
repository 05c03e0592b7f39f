"""`hagit adopt`: what it would do, a question, and the commands of `core/failover/adoption` one after the other.

Runs while the watchdog does not, and leaves for it what a daemon leaves that dies during an import: the next start goes
on from there, under the reservation that was taken here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from reconciler.cli.disk_access import Aside
from reconciler.cli.reservations import Desk
from reconciler.cli.terminal import confirmed
from reconciler.core.failover import adoption
from reconciler.core.failover.claim import Answer, Command
from reconciler.core.failover.hold import UNANSWERED
from reconciler.core.failover.key import Key, Side, next_epoch
from reconciler.core.failover.orders import Orders
from reconciler.core.failover.phase import Phase
from reconciler.core.failover.state import Memory
from reconciler.errors import StateError
from reconciler.system.files import PUBLIC_DIRECTORY, Lock, make_directory, state_error
from reconciler.system.machine import boot_id, machine_number, machine_serial
from reconciler.system.shelf import imported
from reconciler.system.zfs import arguments, tools
from reconciler.system.zfs.house import pools_of
from reconciler.watchdog.durable_state import write_memory

COMMAND_S: Final = 8.0
#: What a pool must have before a fenced controller is sure to end: see `system/zfs/house`.
PROPERTIES: Final = (("failmode", "panic"), ("cachefile", "none"))
DONE, FAILED = 0, 1


def run_adopt(node_file: Path | None, *, yes: bool) -> int:
    """`hagit adopt`."""
    desk = Desk(node_file)
    assert desk.node.watchdog is not None
    run = desk.node.watchdog.run
    try:
        make_directory(run, PUBLIC_DIRECTORY)
        with Lock(run / "watchdog.lock", "hagit adopt"):
            orders = desk.orders
            refused = adoption.refusals(orders, desk.disks.pools(COMMAND_S).pools, desk.disks.look(COMMAND_S))
            if refused:
                raise StateError(
                    f"nothing is adopted: {'; '.join(refused)}",
                    remedy="`hagit reservations` shows every disk; nothing was changed",
                )
            here = imported(desk.node.watchdog.shelf, orders)
            names, count = ", ".join(here or pools_of(orders)), len(orders.disks)
            print(f"{names}: imported here. {count} disks are held by nobody; this controller takes them.")
            if not yes and not confirmed("Make sure that the other controller has none of these pools. Adopt them?"):
                print("Nothing was done.", file=sys.stderr)
                return FAILED
            boot = boot_id()
            # Nobody holds a disk: this is the first claim of the pair.
            machine = machine_number(boot, machine_serial(desk.node.serial_file))
            key = Key(Side(desk.node.controller), next_epoch(0, orders.pair, machine))
            _prepare(here)
            _take(desk.disks, orders, key)
            try:
                write_memory(run, boot, Memory(Phase.IMPORTING, key.epoch))
            except OSError as error:
                # Disks that are held without the memory of it could not be adopted again.
                desk.disks.perform(adoption.undone(orders, key), COMMAND_S)
                raise state_error(
                    run / "memory", error, "write what the watchdog goes on from (every disk was given back)"
                ) from error
    finally:
        desk.close()
    print("Adopted. Start the watchdog: systemctl start hagit-watchdog")
    return DONE


def _prepare(pools: tuple[str, ...]) -> None:
    """The properties that an import by the watchdog would have set. Raises StateError."""
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


def _take(disks: Aside, orders: Orders, key: Key) -> None:
    """Register, reserve, look; or give everything back. Raises StateError."""
    failed = _refused(disks, orders, adoption.registrations(orders, key))
    failed = failed or _refused(disks, orders, adoption.reservations(orders, key))
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


def _refused(disks: Aside, orders: Orders, commands: tuple[Command, ...]) -> tuple[str, ...]:
    replies = disks.perform(commands, COMMAND_S)
    answers = zip(commands, replies, strict=True)
    return tuple(orders.disks[one.disk] for one, reply in answers if reply.answer is not Answer.GOOD)
