"""The command that stays: the agent."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.options import NodeOption


def agent(
    node: NodeOption = None,
    once: Annotated[bool, typer.Option("--once", help="Look at the source and the kernel once, then end.")] = False,
) -> int:
    """Follow the source, apply what it asks for, and alert when reality drifts away. Runs until it is ended.

    \b
    Example:  hagit agent
              hagit --node /etc/hagit/node.toml agent --once
    """
    from reconciler.agent.run import run_agent

    return run_agent(node, once=once)
