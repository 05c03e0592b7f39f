"""`hagit maintenance`: keeps this controller from moving by itself for a time, or ends that.

The watchdog shows and alerts it for as long as it lasts.
"""

from __future__ import annotations

from typing import Annotated, Final

import typer

from reconciler.cli.duration import parsed_ms
from reconciler.cli.options import NodeOption, Output, OutputOption
from reconciler.cli.watchdog_request import request_answer
from reconciler.errors import UsageError
from reconciler.system.control_protocol import ControlRequest, RequestKind
from reconciler.system.node import find_node_file, load_node

DEFAULT: Final = "30m"


def maintenance(
    last: Annotated[
        str | None, typer.Option("--for", help="How long: 30m (when not given), 2h.", metavar="TIME")
    ] = None,
    end: Annotated[bool, typer.Option("--end", help="End it, and a stay after too many resets.")] = False,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Keep this controller from moving by itself for a time. It alerts for as long.

    A switchover that a person asks for is still followed. Exit status 0: done, 1:
    refused.

    \b
    Example:  hagit maintenance --for 30m
              hagit maintenance --end
    """
    loaded, as_json = load_node(find_node_file(node)), output is Output.JSON
    if end and last:
        raise UsageError("--for begins maintenance and --end ends it", remedy="leave one of them out")
    if end:
        return request_answer(loaded, ControlRequest(RequestKind.RELENT), as_json)
    duration_ms = parsed_ms(last or DEFAULT, "--for")
    return request_answer(loaded, ControlRequest(RequestKind.MAINTENANCE, duration_ms=duration_ms), as_json, still=True)
