"""`hagit power`: asks or switches the power of the other controller, through the watchdog.

The watchdog asks the power switch, because it alone passes proofs to the failover core. The command sees no secret.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated, Final

import typer

from reconciler.cli.duration import duration_text
from reconciler.cli.options import NodeOption, Output, OutputOption
from reconciler.cli.terminal import ask_word, fold, width
from reconciler.cli.watchdog_request import DONE, GRACE_MS, REFUSED, TIMED_OUT, await_status
from reconciler.cli.watchdog_text import power_line
from reconciler.core.status.watchdog import PowerStatus, WatchdogStatus, watchdog_document
from reconciler.errors import UsageError
from reconciler.system.control_protocol import ControlAnswer, ControlRequest, RequestKind
from reconciler.system.node import find_node_file, load_node
from reconciler.system.watchdog_client import require_status, send_request

#: A fence agent that runs over its time is ended, and the switch is asked for its status once more.
TIMES: Final = 2


class PowerWord(StrEnum):
    """Request to the power switch of the other controller."""

    STATUS = "status"
    OFF = "off"
    ON = "on"


def power(
    what: Annotated[PowerWord, typer.Argument(help="What the power switch of the other controller is asked.")],
    word: Annotated[
        str | None, typer.Option("--word", help="The name of the other controller, for scripts.", metavar="NAME")
    ] = None,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Ask or switch the power of the other controller, where that is configured.

    `status` changes nothing and shows that it would work. `off` asks for the name
    of the other controller; once it is proven to be off, this one takes over what
    the other one served. Exit status 0: done, 1: refused or failed, 3: not done in
    time.

    \b
    Example:  hagit power status
              hagit power off --word storage-b
    """
    loaded = load_node(find_node_file(node))
    status, as_json = require_status(loaded), output is Output.JSON
    switch = status.power
    if switch is None:
        answer = ControlAnswer(False, "NO_POWER", "no power fencing is configured for the peer")
        return _refused(answer, status, as_json)
    if what is PowerWord.OFF and word is None:
        if not sys.stdin.isatty():
            raise UsageError(
                "there is no terminal to type the word on", remedy=f"in a script: --word {switch.controller}"
            )
        print("\n".join(_warning(status, switch)))
        word = ask_word(f"\nType {switch.controller} to go on: ")
    answer = send_request(loaded, ControlRequest(RequestKind.POWER, deed=what.value, word=(word or "")[:200]))
    if not answer.accepted:
        return _refused(answer, status, as_json)

    turn = answer.document.get("turn")

    def ended(before: WatchdogStatus, now: WatchdogStatus) -> bool | None:
        # A watchdog that restarted, or follows another power plan, has forgotten the request.
        if now.power is None or now.pid != before.pid or not isinstance(turn, int):
            return False
        return now.power.well if now.power.turns >= turn else None

    after, well = await_status(loaded, status, TIMES * switch.timeout_ms + GRACE_MS, ended)
    if as_json:
        _show(answer, after, {True: "done", False: "failed", None: "timed-out"}[well])
    elif well is None:
        print("hagit: not done in time; it may still go on: `hagit status` shows it", file=sys.stderr)
    elif after.power is None or not well:
        last = after.power.last if after.power is not None else "the watchdog was started anew, or its plan was changed"
        print(f"hagit: it failed: {last}", file=sys.stderr)
    else:
        print("\n".join(fold(f"Done: {power_line(after.power)}.", width() - 1)))
    return {True: DONE, False: REFUSED, None: TIMED_OUT}[well]


def _warning(status: WatchdogStatus, power: PowerStatus) -> list[str]:
    """The consequences of switching the power off now."""
    serves = status.peer.phase == "active"
    heard = f"heard {duration_text(status.peer.age_ms)} ago" if status.peer.age_ms is not None else "never heard"
    text = f"This cuts the power of {power.controller} ({heard}) through {power.agent}."
    if serves:
        text += f" It serves clients; once it is proven to be off, {status.controller} takes over."
        if not status.able:
            text += f" {status.controller} is not able to take over now, so no controller will serve clients."
    return fold(f"{text} It stays off until `hagit power on`.", width() - 1)


def _refused(answer: ControlAnswer, status: WatchdogStatus, as_json: bool) -> int:
    if as_json:
        _show(answer, status, "refused")
    else:
        print(f"hagit: refused: {answer.text}", file=sys.stderr)
        if answer.code == "NO_POWER":
            print("  see `hagit explain failover.power`, and [power] in `hagit explain node`", file=sys.stderr)
    return REFUSED


def _show(answer: ControlAnswer, status: WatchdogStatus, outcome: str) -> None:
    document = {
        "format": "hagit.power/1",
        "outcome": outcome,
        "code": answer.code,
        "text": answer.text,
        "power": watchdog_document(status)["power"],
    }
    print(json.dumps(document, indent=1))
