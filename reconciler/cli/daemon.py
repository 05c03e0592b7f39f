"""`hagit agent` and `hagit watchdog`: the daemons.

`entry` starts the watchdog without this module; `watchdog` here gives it a place in the help and runs it where other
options come first.
"""

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
    from reconciler.agent.daemon import run_agent

    return run_agent(node, once=once)


def watchdog(node: NodeOption = None) -> int:
    """Keep this controller's part of the pair: heartbeats, claim, pools, virtual addresses. Runs until it is ended.

    \b
    Example:  hagit watchdog
              hagit --node /etc/hagit/node.toml watchdog
    """
    import os

    from reconciler.watchdog.main import main

    if node is not None:
        os.environ["HAGIT_NODE"] = str(node)
    return main([])
