"""`hagit reservations repair`: shows what would be done, asks, and does it one command at a time, looking in between.

What may be done is decided by `mending`. Before each disk it looks again, and leaves it when anything has changed; a
disk that somebody else holds in the end is let go of at once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from reconciler.cli.disk_access import DiskAccess
from reconciler.cli.terminal import confirmed, fold, width
from reconciler.core.failover.adapters import answered
from reconciler.core.failover.claim import Answer, Command, Verb
from reconciler.core.failover.events import Pools
from reconciler.core.failover.hold import DiskView
from reconciler.core.failover.repair import Deed, Left, Mending, Refusal, plan_mending
from reconciler.errors import StateError, UsageError
from reconciler.system.watchdog_client import query_status

COMMAND_S: Final = 8.0
DONE, FAILED = 0, 1


def repair_reservations(node_file: Path | None, as_json: bool, *, yes: bool, foreign: list[str]) -> int:
    """`hagit reservations repair`."""
    named = frozenset(_key(text) for text in foreign)
    access = DiskAccess(node_file)
    try:
        planned = _planned(access, named)
        if isinstance(planned, Refusal):
            raise StateError(f"nothing is mended: {planned.why}", remedy=planned.remedy)
        deeds = [one for one in planned if isinstance(one, Deed)]
        if not as_json:
            _show(access, planned)
        if deeds and not yes and not confirmed(f"\nDo {'this' if len(deeds) == 1 else 'these'}?"):
            print("Nothing was done.", file=sys.stderr)
            return FAILED
        outcomes = [(deed, _do(access, deed)) for deed in deeds]
    finally:
        access.close()
    if as_json:
        print(json.dumps(_document(access, planned, outcomes), indent=1))
    else:
        for deed, outcome in outcomes:
            print(f"{access.orders.disks[deed.disk]}: {outcome or 'done'}")
    return FAILED if any(outcome for _, outcome in outcomes) else DONE


def _planned(access: DiskAccess, named: frozenset[int]) -> tuple[Mending, ...] | Refusal:
    sight = query_status(access.node)
    status = sight.status if sight is not None and sight.fresh else None
    # A watchdog that hangs may still hold everything: only what the kernel says counts then.
    pools = Pools(status.pools.state) if status is not None else access.disks.pools(COMMAND_S).pools
    phase = status.phase if status is not None else ""
    pending = frozenset(range(access.known, len(access.orders.disks)))
    return plan_mending(access.orders, phase, pools, access.disks.look(COMMAND_S), named, pending)


def _do(access: DiskAccess, deed: Deed) -> str:
    """What went wrong; empty when it is done."""
    if _look(access, deed) != deed.view:
        return "left alone: it has changed since it was looked at"
    problem = ""
    for command in deed.commands:
        answer = answered(access.disks, command, COMMAND_S).answer
        if answer is not Answer.GOOD:
            problem = _refused(command, answer)
            break
    after = _look(access, deed)
    if deed.undo is not None and after.holder is not None and after.holder != deed.undo.key:
        answered(access.disks, deed.undo, COMMAND_S)
        return problem or "left again: another controller has taken it meanwhile"
    return problem


def _look(access: DiskAccess, deed: Deed) -> DiskView:
    return answered(access.disks, Command(Verb.LOOK, deed.disk, deed.commands[0].key), COMMAND_S).view


def _refused(command: Command, answer: Answer) -> str:
    if answer is Answer.SILENT:
        return f"{command.verb}: the disk does not answer, or refuses it"
    if command.verb is Verb.UNREGISTER:
        return "this registration belongs to an earlier life of this controller: the active controller can remove it"
    return f"{command.verb}: reservation conflict; another controller was faster"


def _show(access: DiskAccess, planned: tuple[Mending, ...]) -> None:
    if not planned:
        print("Nothing to mend: every disk is as it should be, seen from here.")
    for one in planned:
        text = one.what if isinstance(one, Deed) else f"stays: {one.why}"
        mark = "~" if isinstance(one, Deed) else "-"
        head, *more = fold(f"{access.orders.disks[one.disk]}: {text}", width() - 5)
        print(f"  {mark} {head}")
        for line in more:
            print(f"    {line}")


def _document(access: DiskAccess, planned: tuple[Mending, ...], outcomes: list[tuple[Deed, str]]) -> dict[str, Any]:
    disks = access.orders.disks
    return {
        "format": "hagit.repair/1",
        "done": [{"disk": disks[deed.disk], "what": deed.what} for deed, problem in outcomes if not problem],
        "failed": [
            {"disk": disks[deed.disk], "what": deed.what, "why": problem} for deed, problem in outcomes if problem
        ],
        "left": [{"disk": disks[one.disk], "why": one.why} for one in planned if isinstance(one, Left)],
    }


def _key(text: str) -> int:
    try:
        key = int(text, 0)
    except ValueError:
        key = 0
    if not 0 < key < 1 << 64:
        raise UsageError(f"--foreign {text}: not a key", remedy="write it as `hagit reservations` shows it, 0x1234")
    return key
