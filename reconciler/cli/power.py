"""`hagit power`: what a person asks of the power switch of the other controller, and what came of it.

The watchdog asks the switch, because it alone tells the failover core what is proven. Nothing secret comes here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from reconciler.cli.duration import spoken
from reconciler.cli.switchover import DONE, GRACE_MS, REFUSED, TIMED_OUT, await_status
from reconciler.cli.terminal import ask_word, fold, width
from reconciler.cli.watchdog_text import power_line
from reconciler.core.status.watchdog import PowerStatus, WatchdogStatus, watchdog_document
from reconciler.errors import UsageError
from reconciler.system.node import find_node_file, load_node
from reconciler.system.request import Answer, Request, RequestKind
from reconciler.system.watchdog_client import ask, must_see

#: After its own time an agent is given up, and a switch is asked for its status once more.
TIMES: Final = 2


def run_power(node_file: Path | None, as_json: bool, *, deed: str, word: str | None) -> int:
    """`hagit power`."""
    node = load_node(find_node_file(node_file))
    status = must_see(node)
    power = status.power
    if power is None:
        answer = Answer(False, "NO_POWER", "no power fencing is configured for the peer")
        return _refused(answer, status, as_json)
    if deed == "off" and word is None:
        if not sys.stdin.isatty():
            raise UsageError("nobody is here to type the word", remedy=f"in a script: --word {power.controller}")
        print("\n".join(_warning(status, power)))
        word = ask_word(f"\nType {power.controller} to go on: ")
    answer = ask(node, Request(RequestKind.POWER, deed=deed, word=(word or "")[:200]))
    if not answer.accepted:
        return _refused(answer, status, as_json)

    turn = answer.document.get("turn")

    def ended(before: WatchdogStatus, now: WatchdogStatus) -> bool | None:
        if now.power is None or now.pid != before.pid or not isinstance(turn, int):
            return False
        return now.power.well if now.power.turns >= turn else None

    after, well = await_status(node, status, TIMES * power.timeout_ms + GRACE_MS, ended)
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
    """What switching off means now."""
    serves = status.peer.phase == "active"
    heard = f"heard {spoken(status.peer.age_ms)} ago" if status.peer.age_ms is not None else "never heard"
    text = f"This cuts the power of {power.controller} ({heard}) through {power.agent}."
    if serves:
        text += f" It serves clients; once it is proven to be off, {status.controller} takes over."
        if not status.able:
            text += f" {status.controller} is not able to take over now: nobody will serve."
    return fold(f"{text} It stays off until `hagit power on`.", width() - 1)


def _refused(answer: Answer, status: WatchdogStatus, as_json: bool) -> int:
    if as_json:
        _show(answer, status, "refused")
    else:
        print(f"hagit: refused: {answer.text}", file=sys.stderr)
        if answer.code == "NO_POWER":
            print("  see `hagit explain failover.power`, and [power] in `hagit explain node`", file=sys.stderr)
    return REFUSED


def _show(answer: Answer, status: WatchdogStatus, outcome: str) -> None:
    document = {
        "format": "hagit.power/1",
        "outcome": outcome,
        "code": answer.code,
        "text": answer.text,
        "power": watchdog_document(status)["power"],
    }
    print(json.dumps(document, indent=1))
