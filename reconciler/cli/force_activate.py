"""`hagit force-activate`: makes this controller active whatever the policy says; the disks still decide."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from reconciler.cli.duration import duration_text, parsed_ms
from reconciler.cli.options import NodeOption, Output, OutputOption, TimeoutOption
from reconciler.cli.terminal import ask_word, fold, styled, width
from reconciler.cli.watchdog_request import GRACE_MS, REFUSED, WaitLimit, request_and_wait
from reconciler.cli.watchdog_text import reason_lines
from reconciler.core.status.watchdog import WatchdogStatus
from reconciler.errors import UsageError
from reconciler.system.control_protocol import ControlRequest, RequestKind
from reconciler.system.node import find_node_file, load_node
from reconciler.system.watchdog_client import require_status


def force_activate(
    word: Annotated[
        str | None, typer.Option("--word", help="The name of this controller, for scripts.", metavar="NAME")
    ] = None,
    timeout: TimeoutOption = None,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Make this controller active, whatever the policy says. Cuts the other one off.

    Says exactly what it overrides, and asks for the name of this controller. The
    disks still decide: without enough of them nothing is claimed. Exit status 0:
    active, 1: refused or failed, 3: not done in time.

    \b
    Example:  hagit force-activate
              hagit force-activate --word storage-a
    """
    loaded = load_node(find_node_file(node))
    status, as_json = require_status(loaded), output is Output.JSON
    timeout_ms = parsed_ms(timeout, "--timeout") if timeout else status.readiness.takeover_ms + GRACE_MS
    if status.phase == "active":
        print(f"Nothing to do: {status.controller} is active already.", file=sys.stderr)
        return REFUSED
    if not as_json:
        print(_overridden(status))
    if word is None:
        if not sys.stdin.isatty():
            raise UsageError(
                "there is no terminal to type the word on", remedy=f"in a script: --word {status.controller}"
            )
        word = ask_word(f"\nType {status.controller} to go on: ")
    request = ControlRequest(RequestKind.FORCE_ACTIVATE, word=word[:200])
    waits = WaitLimit(timeout_ms, while_moving=not timeout)
    return request_and_wait(loaded, status, request, waits, as_json, _is_active, _forced)


def _overridden(status: WatchdogStatus) -> str:
    """The reasons that force-activate overrides, and the checks that it does not."""
    other = status.peer.controller or "the peer"
    lines = [styled(f"Force {status.controller} to become active. This overrides:", 1, 33)]
    lines += reason_lines(status.reasons)
    if not status.reasons:
        lines.append("  nothing: HA is active, and `hagit switchover` on the other side is the gentle way")
    lives = f"heard {duration_text(status.peer.age_ms)} ago" if status.peer.age_ms is not None else "never heard"
    for text in (
        "",
        f"What happens: {status.controller} claims the disks and cuts {other} off ({lives}). If {other} serves clients "
        "now, it loses the pools at once and resets itself.",
        "Not overridden: the disks. Without enough of them, or with pools imported here, nothing is claimed. No "
        "acknowledged write is lost.",
    ):
        lines += fold(text, width() - 1)
    return "\n".join(lines)


def _is_active(before: WatchdogStatus, now: WatchdogStatus) -> bool | None:
    """A forced controller has done its part when it is active and has every address that it wants."""
    if now.phase == "active" and all(one.present for one in now.addresses if one.wanted):
        return True
    # Standby again after the claim, or halted: the claim failed.
    moved = now.since_ms != before.since_ms
    return False if now.phase == "halted" or (moved and now.phase == "standby") else None


def _forced(status: WatchdogStatus) -> str:
    """The sentence for a controller that has become active."""
    return f"Done: {status.controller} is MASTER and serves clients."
