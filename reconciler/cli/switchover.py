"""What a person asks of the watchdog that moves the pair: switchover, force-activate, and the beginning of a drill.

Says beforehand what will happen and why it would be refused, waits until it is done, and says what it took. The
watchdog decides; nothing here moves anything.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.cli.duration import parsed_ms, spoken
from reconciler.cli.terminal import Progress, ask_word, fold, paint, width
from reconciler.cli.watchdog_text import predicted, reason_lines, summary
from reconciler.core.status.watchdog import WatchdogStatus, watchdog_document
from reconciler.errors import UsageError
from reconciler.system.clock import monotonic_s
from reconciler.system.node import Node, find_node_file, load_node
from reconciler.system.request import Answer, Request, RequestKind
from reconciler.system.watchdog_client import ask, must_see, see

DONE, REFUSED, TIMED_OUT = 0, 1, 3
#: Between two looks at the status while something is under way, which has better use for the processor.
LOOK_S: Final = 0.2
#: Added to the bound of the orders before a wait is given up.
GRACE_MS: Final = 5_000
#: An import or export that goes on is ended by no clock, so whoever gave no limit waits for it.
UNDER_WAY: Final = ("claiming", "importing", "releasing")
UNDER_WAY_MS_MAX: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Waits:
    """For how long something is waited for, and whether longer while it is under way."""

    limit_ms: int
    while_moving: bool

    @property
    def longest_ms(self) -> int:
        """While it is under way."""
        return UNDER_WAY_MS_MAX if self.while_moving else self.limit_ms


def run_switchover(node_file: Path | None, as_json: bool, *, plan: bool, timeout: str | None) -> int:
    """`hagit switchover`."""
    node = load_node(find_node_file(node_file))
    status = must_see(node)
    timeout_ms = parsed_ms(timeout, "--timeout") if timeout else status.readiness.switchover_ms + GRACE_MS
    if plan or not status.readiness.ready:
        show_plan(status, as_json)
        return DONE if status.readiness.ready else REFUSED
    if not as_json:
        show_plan(status, as_json=False)
    request = Request(RequestKind.SWITCHOVER)
    waits = Waits(timeout_ms, while_moving=not timeout)
    return _carry_out(node, status, request, waits, as_json, is_active_there, _switched)


def run_force(node_file: Path | None, as_json: bool, *, word: str | None, timeout: str | None) -> int:
    """`hagit force-activate`."""
    node = load_node(find_node_file(node_file))
    status = must_see(node)
    bound_ms = status.readiness.takeover_ms + GRACE_MS
    timeout_ms = parsed_ms(timeout, "--timeout") if timeout else bound_ms
    if status.phase == "active":
        print(f"Nothing to do: {status.controller} is active already.", file=sys.stderr)
        return REFUSED
    if not as_json:
        print(_overridden(status))
    if word is None:
        if not sys.stdin.isatty():
            raise UsageError("nobody is here to type the word", remedy=f"in a script: --word {status.controller}")
        word = ask_word(f"\nType {status.controller} to go on: ")
    request = Request(RequestKind.FORCE_ACTIVATE, word=word[:200])
    waits = Waits(timeout_ms, while_moving=not timeout)
    return _carry_out(node, status, request, waits, as_json, is_active_here, _forced)


def run_drill(node_file: Path | None, as_json: bool, *, yes: bool, peer: str | None, timeout: str | None) -> int:
    """`hagit drill`."""
    from reconciler.cli.drill import Drill
    from reconciler.cli.terminal import confirmed

    node = load_node(find_node_file(node_file))
    status = must_see(node)
    timeout_ms = parsed_ms(timeout, "--timeout") if timeout else status.readiness.switchover_ms + GRACE_MS
    if not as_json or not status.readiness.ready:
        show_plan(status, as_json)
    if not status.readiness.ready or status.reasons:
        if status.readiness.ready:
            print(f"No drill while something is wrong on {status.controller}:", file=sys.stderr)
            for line in reason_lines(status.reasons):
                print(line, file=sys.stderr)
        return REFUSED
    other = status.peer.controller
    if not yes and not confirmed(f"\nSwitch over to {other}, and back? Clients wait twice."):
        print("Nothing was done.", file=sys.stderr)
        return REFUSED
    return Drill(node, status, peer, timeout_ms, as_json).run()


def show_plan(status: WatchdogStatus, as_json: bool) -> None:
    """What a switchover would do now, or every reason why it would not be followed."""
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
        print(paint(f"No switchover from {status.controller} now:", 1, 31))
        for obstacle in ready.obstacles:
            print(f"  - {obstacle}")
        if status.phase != "active" and status.peer.phase == "active":
            print(f"  → {other} is active: ask there")
        for line in reason_lines(status.reasons):
            print(line)
        return
    print(paint(f"Switchover of {status.pair}: {status.controller} → {other}", 1))
    print(f"  clients    wait {predicted(status)}")
    for part in ready.parts:
        print(f"             at most {spoken(part.most_ms):<9} {part.what}")
    order = f"virtual addresses go, pools are exported, {other} claims the disks, imports, and takes the addresses"
    for at, line in enumerate(fold(f"{order}; nothing reboots", width() - 14)):
        print(f"  {'' if at else 'order':<9}  {line}")


def _overridden(status: WatchdogStatus) -> str:
    """What force-activate sets aside, and what it does not."""
    other = status.peer.controller or "the peer"
    lines = [paint(f"Force {status.controller} to become active. This overrides:", 1, 33)]
    lines += reason_lines(status.reasons)
    if not status.reasons:
        lines.append("  nothing: HA is active, and `hagit switchover` on the other side is the gentle way")
    lives = f"heard {spoken(status.peer.age_ms)} ago" if status.peer.age_ms is not None else "never heard"
    for text in (
        "",
        f"What happens: {status.controller} claims the disks and cuts {other} off ({lives}). If {other} serves clients "
        "now, it loses the pools at once and resets itself.",
        "Not overridden: the disks. Without enough of them, or with pools imported here, nothing is claimed. No "
        "acknowledged write is lost.",
    ):
        lines += fold(text, width() - 1)
    return "\n".join(lines)


def _carry_out(
    node: Node,
    before: WatchdogStatus,
    request: Request,
    waits: Waits,
    as_json: bool,
    done: Callable[[WatchdogStatus, WatchdogStatus], bool | None],
    words: Callable[[WatchdogStatus], str],
) -> int:
    """Ask, wait until `done` says so (True: done, False: failed), and tell."""
    began_s = monotonic_s()
    answer = ask(node, request)
    if not answer.accepted:
        status = must_see(node)
        if as_json:
            print(json.dumps(_outcome("refused", answer, status, 0), indent=1))
        else:
            print(f"hagit: refused: {answer.text}", file=sys.stderr)
            for line in reason_lines(status.reasons):
                print(line, file=sys.stderr)
        return REFUSED
    after, well = await_status(node, before, waits.limit_ms, done, waits.longest_ms)
    took_ms = int((monotonic_s() - began_s) * 1_000)
    outcome = {True: "done", False: "failed", None: "timed-out"}[well]
    if as_json:
        print(json.dumps(_outcome(outcome, answer, after, took_ms), indent=1))
    elif well:
        print("\n".join(fold(words(after), width() - 1)))
    elif well is None:
        waited_ms = took_ms if waits.while_moving else waits.limit_ms
        print(f"hagit: not done within {spoken(waited_ms)}; it may still go on", file=sys.stderr)
        print("  `hagit status --watch` shows it", file=sys.stderr)
    else:
        print(f"hagit: it failed: {after.controller} is {after.role} ({after.phase}): {after.why}", file=sys.stderr)
        for line in reason_lines(after.reasons):
            print(line, file=sys.stderr)
    return {True: DONE, False: REFUSED, None: TIMED_OUT}[well]


def await_status(
    node: Node,
    before: WatchdogStatus,
    timeout_ms: int,
    done: Callable[[WatchdogStatus, WatchdogStatus], bool | None],
    longest_ms: int = 0,
) -> tuple[WatchdogStatus, bool | None]:
    """Wait until `done(before, now)` is not None, with progress on a terminal. None: the time ran out.

    While this controller claims, imports or exports, up to `longest_ms` is waited for.
    """
    began_s, latest, pause = monotonic_s(), before, threading.Event()
    with Progress() as progress:
        while True:
            sight = see(node)
            waited_ms = int((monotonic_s() - began_s) * 1_000)
            if sight is not None and sight.status is not None and sight.fresh:
                latest = sight.status
                found = done(before, latest)
                if found is not None:
                    return latest, found
                sides = f"{latest.controller} {latest.role}, {latest.peer.controller} {latest.peer.role or '?'}"
                progress.show(f"{spoken(waited_ms)}: {sides}")
            elif sight is not None:
                progress.show(f"{spoken(waited_ms)}: {sight.problem}")
            if waited_ms >= (max(timeout_ms, longest_ms) if latest.phase in UNDER_WAY else timeout_ms):
                return latest, None
            pause.wait(LOOK_S)


def is_active_there(before: WatchdogStatus, now: WatchdogStatus) -> bool | None:
    """A switchover is over when the peer says that it is active; back here, or halted, it has failed."""
    if now.phase == "halted":
        return False
    moved = now.since_ms != before.since_ms or now.failover != before.failover
    if not moved:
        return None
    if now.phase == "active":
        return False
    there = now.phase == "standby" and now.peer.phase == "active"
    return True if there and now.failover is not None and now.failover.served else None


def is_active_here(before: WatchdogStatus, now: WatchdogStatus) -> bool | None:
    """A forced controller has done its part when it is active and every address that it wants is there."""
    if now.phase == "active" and all(one.present for one in now.addresses if one.wanted):
        return True
    # Back to standby after the claim, or halted: the claim did not go through.
    moved = now.since_ms != before.since_ms
    return False if now.phase == "halted" or (moved and now.phase == "standby") else None


def _switched(status: WatchdogStatus) -> str:
    took = f" {summary(status.failover).capitalize()}." if status.failover is not None else ""
    return f"Done: {status.peer.controller} is MASTER.{took}"


def _forced(status: WatchdogStatus) -> str:
    return f"Done: {status.controller} is MASTER and serves clients."


def _outcome(outcome: str, answer: Answer, status: WatchdogStatus, took_ms: int) -> dict[str, Any]:
    document = watchdog_document(status)
    return {
        "format": "hagit.request/1",
        "outcome": outcome,
        "code": answer.code,
        "text": answer.text,
        "took_ms": took_ms,
        "failover": document["failover"],
        "status": document,
    }
