"""Commands that only look: status, history, decisions."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.options import NodeOption, Output, OutputOption


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again whenever it changes.")] = False,
    detailed: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 0: all is well, 1: an error, 2: something is not.")
    ] = False,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Whether the pair is highly available, and if not, why and what to do.

    The first line is the verdict: HA active, administratively disabled,
    unavailable, or failing over now. Then roles, heartbeats, orders and readiness,
    and what is in force on this controller. Works on either one, whatever runs.

    \b
    Example:  hagit status
              hagit status --watch
              hagit status -o json | jq .ha.verdict
    """
    from reconciler.cli.status import print_status, watch_status

    if watch:
        return watch_status(node, as_json=output is Output.JSON)
    return print_status(node, as_json=output is Output.JSON, detailed=detailed)


def history(
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
    count: Annotated[int, typer.Option("--count", "-n", help="How many lines, newest last.", min=1)] = 20,
) -> int:
    """Every revision that was applied, rolled back or refused here.

    \b
    Example:  hagit history -n 5
    """
    from reconciler.cli.status import print_history

    return print_history(node, count, as_json=output is Output.JSON)


def decisions(
    node: NodeOption = None,
    count: Annotated[int, typer.Option("--count", "-n", help="How many lines, newest last.", min=1)] = 20,
) -> int:
    """The agent's structured journal: everything it decided and from what, one JSON document a line.

    \b
    Example:  hagit decisions -n 100 | jq 'select(.decision == "drift")'
    """
    from reconciler.cli.status import print_decisions

    return print_decisions(node, count)
