"""`hagit reservations repair`: shows what it would do, asks, and repairs one disk after the other.

`core/failover/reservations/repair` decides what may be done and which command comes next; the command sends it and
prints the result.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from reconciler.cli.disk_access import DiskAccess
from reconciler.cli.terminal import confirmed, fold, width
from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.ports import answered
from reconciler.core.failover.reservations import repair
from reconciler.core.failover.reservations.repair import LeftAlone, Repair, RepairRefused
from reconciler.errors import StateError, UsageError
from reconciler.system.watchdog_client import query_status

COMMAND_S: Final = 8.0
DONE, FAILED = 0, 1


def repair_reservations(node_file: Path | None, as_json: bool, *, yes: bool, foreign: list[str]) -> int:
    """Repair what may be repaired from here. `foreign`: keys that the operator allows to remove. Returns exit
    status."""
    named = frozenset(_key(text) for text in foreign)
    access = DiskAccess(node_file)
    try:
        planned = _planned(access, named)
        if isinstance(planned, RepairRefused):
            raise StateError(f"nothing is repaired: {planned.why}", remedy=planned.remedy)
        repairs = [one for one in planned if isinstance(one, Repair)]
        if not as_json:
            _show(access, planned)
        if repairs and not yes and not confirmed(f"\nDo {'this' if len(repairs) == 1 else 'these'}?"):
            print("Nothing was done.", file=sys.stderr)
            return FAILED
        problems = [(one, _carry_out(access, one)) for one in repairs]
    finally:
        access.close()
    if as_json:
        print(json.dumps(_document(access, planned, problems), indent=1))
    else:
        for one, problem in problems:
            print(f"{access.orders.disks[one.disk]}: {problem or 'done'}")
    return FAILED if any(problem for _, problem in problems) else DONE


def _planned(access: DiskAccess, named: frozenset[int]) -> tuple[Repair | LeftAlone, ...] | RepairRefused:
    """The plan by one look at all disks and what the watchdog publishes."""
    reading = query_status(access.node)
    status = reading.status if reading is not None and reading.fresh else None
    # A watchdog that hangs may still hold everything, so without a fresh status only the kernel's word counts.
    pools = Presence(status.pools.state) if status is not None else access.disks.pools(COMMAND_S).pools
    phase = status.phase if status is not None else ""
    pending = frozenset(range(access.known, len(access.orders.disks)))
    return repair.plan_repairs(access.orders, phase, pools, access.disks.look(COMMAND_S), named, pending)


def _carry_out(access: DiskAccess, planned: Repair) -> str:
    """Send the commands of one repair. Returns the problem, or an empty text when it is done."""
    progress = repair.begin(access.orders, planned)
    while (command := repair.next_command(progress)) is not None:
        progress = repair.advance(progress, answered(access.disks, command, COMMAND_S))
    return progress.problem


def _show(access: DiskAccess, planned: tuple[Repair | LeftAlone, ...]) -> None:
    """Print the plan: `~` marks a disk that is repaired, `-` one that stays as it is."""
    if not planned:
        print("Nothing to repair: every disk is as it should be, seen from here.")
    for one in planned:
        text = one.what if isinstance(one, Repair) else f"stays: {one.why}"
        mark = "~" if isinstance(one, Repair) else "-"
        head, *more = fold(f"{access.orders.disks[one.disk]}: {text}", width() - 5)
        print(f"  {mark} {head}")
        for line in more:
            print(f"    {line}")


def _document(
    access: DiskAccess, planned: tuple[Repair | LeftAlone, ...], problems: list[tuple[Repair, str]]
) -> dict[str, Any]:
    """JSON form of what was done, what failed, and what was left alone."""
    disks = access.orders.disks
    return {
        "format": "hagit.repair/1",
        "done": [{"disk": disks[one.disk], "what": one.what} for one, problem in problems if not problem],
        "failed": [{"disk": disks[one.disk], "what": one.what, "why": problem} for one, problem in problems if problem],
        "left": [{"disk": disks[one.disk], "why": one.why} for one in planned if isinstance(one, LeftAlone)],
    }


def _key(text: str) -> int:
    """The number of a key as the operator wrote it. Raises UsageError."""
    try:
        key = int(text, 0)
    except ValueError:
        key = 0
    if not 0 < key < 1 << 64:
        raise UsageError(f"--foreign {text}: not a key", remedy="write it as `hagit reservations` shows it, 0x1234")
    return key
