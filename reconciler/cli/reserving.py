"""The commands about the disks themselves: reservations, adopt.

Exit status: 0 shown, or nothing is left to do; 1 an error, or something was refused; 2 with --detailed-exitcode when a
disk is not as it should be.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from reconciler.cli.options import NodeOption, Output, OutputOption, YesOption


class Word(StrEnum):
    """What is done about them."""

    SHOW = "show"
    REPAIR = "repair"


def reservations(
    what: Annotated[Word, typer.Argument(help="Look, or mend what can be mended from here.")] = Word.SHOW,
    foreign: Annotated[
        list[str] | None,
        typer.Option("--foreign", help="A key that hagit did not write and that repair may remove.", metavar="KEY"),
    ] = None,
    yes: YesOption = False,
    detailed: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 0: all is well, 1: an error, 2: something is not.")
    ] = False,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Who holds which disk, and who else could write to it; mend it.

    `show` asks every disk of the orders. `repair` says what it would do and asks:
    on the active controller it completes the claim (disks that came back, others
    that are still registered), on the other it gives up registrations of its own.
    It never leaves a disk to nobody, and refuses while the watchdog is at work.

    \b
    Example:  hagit reservations
              hagit reservations show -o json
              hagit reservations repair --foreign 0xabc123
    """
    if what is Word.REPAIR:
        from reconciler.cli.reservations_repair import run_repair

        return run_repair(node, output is Output.JSON, yes=yes, foreign=foreign or [])
    from reconciler.cli.reservations import run_show

    return run_show(node, output is Output.JSON, detailed=detailed)


def adopt(yes: YesOption = False, node: NodeOption = None) -> int:
    """Take pools that are imported here already, before the first start of the watchdog.

    A watchdog resets a controller that has pools imported without a reservation: the
    other one may have them as well. This command reserves every disk of the orders
    for this controller, where nobody holds any of them, and leaves the pools imported
    and mounted. Run it on the controller that has the pools, after `hagit apply` has
    written the orders and before the watchdog is started.

    \b
    Example:  hagit apply && hagit adopt && systemctl start hagit-watchdog
    """
    from reconciler.cli.adopt import run_adopt

    return run_adopt(node, yes=yes)
