"""What a person asks for that keeps the pair still: maintenance, and failover disabled or enabled.

Whether the pair may fail over is configuration; what is asked for here lasts for a time, on this controller, and is
shown and alerted for as long.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from reconciler.agent.session import Session
from reconciler.cli.duration import parsed_ms
from reconciler.cli.switchover import DONE, REFUSED
from reconciler.core.status.watchdog import WatchdogStatus
from reconciler.errors import HagitError, UsageError
from reconciler.system.node import Node, find_node_file, load_node
from reconciler.system.request import Request, RequestKind
from reconciler.system.watchdog_client import ask, see

DEFAULT = "30m"


def run_maintenance(node_file: Path | None, as_json: bool, *, last: str | None, end: bool) -> int:
    """`hagit maintenance`."""
    node = load_node(find_node_file(node_file))
    if end and last:
        raise UsageError("--for begins maintenance and --end ends it", remedy="leave one of them out")
    if end:
        return _ask(node, Request(RequestKind.RELENT), as_json)
    duration_ms = parsed_ms(last or DEFAULT, "--for")
    return _ask(node, Request(RequestKind.MAINTENANCE, duration_ms=duration_ms), as_json, still=True)


def run_failover(node_file: Path | None, as_json: bool, *, enable: bool, last: str | None) -> int:
    """`hagit failover enable|disable`."""
    with Session(node_file) as session:
        node = session.node
        if last is not None:
            request = Request(RequestKind.OVERRIDE, duration_ms=parsed_ms(last, "--for"), enabled=enable)
            return _ask(node, request, as_json, still=not enable)
        status = _status(node)
        if enable and status is not None and status.override is not None and not status.override.enabled:
            return _ask(node, Request(RequestKind.OVERRIDE, end=True), as_json)
        word = "enabled" if enable else "disabled"
        if status is not None and status.orders.enabled is enable and status.orders.here:
            return _say(f"Nothing to do: failover is {word} by the orders (generation {status.orders.here})", as_json)
        text = _commit_wanted(session, enable)
    if as_json:
        print(json.dumps({"format": "hagit.answer/1", "accepted": False, "code": "COMMIT", "text": text}, indent=1))
    else:
        print(text)
    return REFUSED


def _status(node: Node) -> WatchdogStatus | None:
    sight = see(node)
    return sight.status if sight is not None and sight.fresh else None


def _ask(node: Node, request: Request, as_json: bool, *, still: bool = False) -> int:
    """Ask, and tell the answer. `still`: this controller shall keep still, which does not bind the other."""
    answer = ask(node, request)
    if as_json:
        document = {"format": "hagit.answer/1", "accepted": answer.accepted, "code": answer.code, "text": answer.text}
        print(json.dumps(document, indent=1))
    elif not answer.accepted:
        print(f"hagit: refused: {answer.text}", file=sys.stderr)
    else:
        print(f"Done: {answer.text}.")
        status = _status(node)
        if still and status is not None and status.phase == "active":
            other = status.peer.controller
            print(f"note: {status.controller} is active. {other} would still take over if it died;")
            print(f"      ask on {other}, too, if nothing may move.")
    return DONE if answer.accepted else REFUSED


def _say(text: str, as_json: bool) -> int:
    document = {"format": "hagit.answer/1", "accepted": True, "code": "NOTHING", "text": text}
    print(json.dumps(document, indent=1) if as_json else f"{text}.")
    return DONE


def _commit_wanted(session: Session, enable: bool) -> str:
    """Where failover is enabled or disabled for good, and how the change looks."""
    word, value = ("enable", "true") if enable else ("disable", "false")
    name, place = _resource(session)
    where = f"at {place}" if place else "in a new file, failover.yaml"
    lines = [
        "Nothing was changed: whether the pair fails over is configuration, and both",
        f"controllers follow one commit. To {word} failover, write",
        f"{where}:",
        "",
        "  apiVersion: hagit/v1",
        "  kind: Failover",
        f"  metadata: {{name: {name}}}",
        "  spec:",
        f"    enabled: {value}",
        "",
        f'then: git commit -am "{word.capitalize()} failover", and push.',
    ]
    if not enable:
        lines += ["", "For a while and on this controller only: hagit failover disable --for 2h"]
    return "\n".join(lines)


def _resource(session: Session) -> tuple[str, str]:
    """Name of the Failover resource in force, and its file and line; the place is empty when there is none."""
    wanted = session.store.accepted().wanted
    if wanted is not None:
        from reconciler.core.spec import load
        from reconciler.system.git.tree import read_tree

        try:
            found = load(read_tree(session.mirror, wanted.commit)).failover
        except HagitError:
            found = None
        if found is not None:
            origin = found.origin()
            return found.name, f"{origin.file}:{origin.line}"
    return "failover", ""
