"""Commands that only look: status, history, decisions."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.options import NodeOption, Output, OutputOption


def status(node: NodeOption = None, output: OutputOption = Output.TEXT) -> int:
    """What is in force on this controller, whether it still holds, and what the agent is doing.

    \b
    Example:  hagit status
              hagit status -o json | jq .verdict
    """
    from reconciler.cli.report import print_status

    return print_status(node, as_json=output is Output.JSON)


def history(
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
    count: Annotated[int, typer.Option("--count", "-n", help="How many lines, newest last.", min=1)] = 20,
) -> int:
    """Every revision that was applied, rolled back or refused here.

    \b
    Example:  hagit history -n 5
    """
    from reconciler.cli.report import print_history

    return print_history(node, count, as_json=output is Output.JSON)


def decisions(
    node: NodeOption = None,
    count: Annotated[int, typer.Option("--count", "-n", help="How many lines, newest last.", min=1)] = 20,
) -> int:
    """The agent's structured journal: everything it decided and from what, one JSON document a line.

    \b
    Example:  hagit decisions -n 100 | jq 'select(.decision == "drift")'
    """
    from reconciler.cli.report import print_decisions

    return print_decisions(node, count)
