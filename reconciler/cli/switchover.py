"""`hagit switchover`: hands the pools over to the other controller.

Prints beforehand what will happen, or why the watchdog would refuse it. `drill` prints the same plan.
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from reconciler.cli.duration import duration_text, parsed_ms
from reconciler.cli.options import NodeOption, Output, OutputOption, TimeoutOption
from reconciler.cli.terminal import fold, styled, width
from reconciler.cli.watchdog_request import DONE, GRACE_MS, REFUSED, WaitLimit, is_active_there, request_and_wait
from reconciler.cli.watchdog_text import failover_text, reason_lines, switchover_prediction
from reconciler.core.status.watchdog import WatchdogStatus, watchdog_document
from reconciler.system.control_protocol import ControlRequest, RequestKind
from reconciler.system.node import find_node_file, load_node
from reconciler.system.watchdog_client import require_status


def switchover(
    plan: Annotated[bool, typer.Option("--plan", help="Say what would happen, and do nothing.")] = False,
    timeout: TimeoutOption = None,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Hand over to the other controller. Run it on the active one; nothing reboots.

    Says how long clients will wait: what the last ones took, and the bound of the
    orders. Exit status 0: done (--plan: it would be followed), 1: refused, with
    every reason, or failed, 3: not done in time.

    \b
    Example:  hagit switchover --plan
              hagit switchover
    """
    loaded = load_node(find_node_file(node))
    status, as_json = require_status(loaded), output is Output.JSON
    timeout_ms = parsed_ms(timeout, "--timeout") if timeout else status.readiness.switchover_ms + GRACE_MS
    if plan or not status.readiness.ready:
        print_switchover_plan(status, as_json)
        return DONE if status.readiness.ready else REFUSED
    if not as_json:
        print_switchover_plan(status, as_json=False)
    request = ControlRequest(RequestKind.SWITCHOVER)
    waits = WaitLimit(timeout_ms, while_moving=not timeout)
    return request_and_wait(loaded, status, request, waits, as_json, is_active_there, _switched)


def print_switchover_plan(status: WatchdogStatus, as_json: bool) -> None:
    """Print what a switchover would do now, or every reason for which the watchdog would refuse it."""
    ready, other = status.readiness, status.peer.controller or "the peer"
    if as_json:
        document = {
            "format": "hagit.switchover/1",
            "ready": ready.ready,
            "from": status.controller,
            "to": other,
            "obstacles": list(ready.obstacles),
            "bound_ms": ready.switchover_ms,
            "measured_ms": list(ready.measured_ms),
            "reasons": watchdog_document(status)["reasons"],
        }
        print(json.dumps(document, indent=1))
        return
    if not ready.ready:
        print(styled(f"No switchover from {status.controller} now:", 1, 31))
        for obstacle in ready.obstacles:
            print(f"  - {obstacle}")
        if status.phase != "active" and status.peer.phase == "active":
            print(f"  → {other} is active: ask there")
        for line in reason_lines(status.reasons):
            print(line)
        return
    print(styled(f"Switchover of {status.pair}: {status.controller} → {other}", 1))
    print(f"  clients    wait {switchover_prediction(status)}")
    for part in ready.parts:
        print(f"             at most {duration_text(part.most_ms):<9} {part.what}")
    order = f"virtual addresses go, pools are exported, {other} claims the disks, imports, and takes the addresses"
    for at, line in enumerate(fold(f"{order}; nothing reboots", width() - 14)):
        print(f"  {'' if at else 'order':<9}  {line}")


def _switched(status: WatchdogStatus) -> str:
    """The sentence for a switchover that is done."""
    took = f" {failover_text(status.failover).capitalize()}." if status.failover is not None else ""
    return f"Done: {status.peer.controller} is MASTER.{took}"
