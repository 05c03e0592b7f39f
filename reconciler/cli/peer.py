"""`hagit peer`: who the other controller is, over which paths its agent answers, and how the two differ."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import typer

from reconciler import __version__
from reconciler.agent.session import Session
from reconciler.cli.options import NodeOption, Output, OutputOption
from reconciler.cli.terminal import styled
from reconciler.errors import PeerError
from reconciler.printing import cut, printable
from reconciler.system.clock import monotonic_s, wall_s

DONE, FAILED = 0, 1
FORMAT: Final = "hagit.peer-status/1"
#: Limit for each path.
PATH_S: Final = 3.0
#: A larger difference of the clocks is marked: it confuses whoever compares the journals of both.
CLOCK_S_MAX: Final = 1.0


def peer(
    paths: Annotated[
        bool, typer.Option("--paths", help="Try every address of the peer, not only until one answers.")
    ] = False,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Who the other controller is, over which path it answers, and how it differs.

    Asks the agent of the enrolled peer: round trip, difference of the clocks,
    versions, revision and orders. Exit status 0: it answers, 1: it does not, or
    this controller is not enrolled.

    \b
    Example:  hagit peer
              hagit peer --paths
    """
    with Session(node) as session:
        document = _document(session, every_path=paths)
    if output is Output.JSON:
        print(json.dumps(document, indent=1))
    else:
        print("\n".join(_lines(document)))
    return DONE if document["reached"] else FAILED


def _document(session: Session, *, every_path: bool) -> dict[str, Any]:
    client = session.peer
    document: dict[str, Any] = {
        "format": FORMAT,
        "enrolled": client is not None,
        "reached": False,
        "hagit": __version__,
    }
    if client is None:
        return document
    identity = client.identity
    document |= {
        "pair": identity.pair,
        "side": identity.peer_side,
        "serial": identity.peer_serial,
        "enrolled_s": identity.enrolled_s,
        "rotating": len(identity.peer_certificates) > 1,
        "addresses": list(client.addresses),
    }
    accepted = session.store.accepted().wanted
    document["revision"] = accepted.commit if accepted is not None else ""
    document["orders"] = session.orders.generation() if session.orders is not None else None
    if every_path:
        document["paths"] = [_tried(client.to(address)) | {"address": address} for address in client.addresses]
    return document | _tried(client)


def _tried(client: Any) -> dict[str, Any]:
    """What one `hello` brings. Times in seconds; `clock_s`: how far the peer's clock is ahead."""
    began_s, wall_began_s = monotonic_s(), wall_s()
    try:
        said = client.ask("hello", {}, timeout_s=PATH_S).body
    except PeerError as error:
        return {"reached": False, "code": error.code.value, "why": error.what, "remedy": error.remedy}
    took_s = monotonic_s() - began_s
    clock = said.get("clock_s")
    ahead_s = clock - wall_began_s - took_s / 2 if isinstance(clock, float | int) else None
    return {"reached": True, "path": client.path, "round_trip_s": took_s, "clock_s": ahead_s, "peer": dict(said)}


def _lines(document: dict[str, Any]) -> list[str]:
    """The same for people."""
    if not document["enrolled"]:
        return [
            "This controller is not enrolled: its agent has no channel to the other one.",
            "  Run on both controllers: hagit enroll",
        ]
    side, serial = document["side"], document["serial"]
    verdict = "answers" if document["reached"] else "does not answer"
    lines = [styled(f"Controller {side}, serial {serial!r}, {verdict}", 1, 32 if document["reached"] else 31)]
    for tried in document.get("paths", ()):
        said = f"{1000 * tried['round_trip_s']:.1f} ms" if tried["reached"] else f"{tried['code']}: {tried['why']}"
        lines.append(f"  {'':<10} {tried['address']}: {said}")
    if not document["reached"]:
        lines += [
            f"  {'why':<10} {document['why']}",
            *([f"  {'':<10} {document['remedy']}"] if document["remedy"] else []),
        ]
        return lines
    lines.append(f"  {'path':<10} {document['path']}, round trip {1000 * document['round_trip_s']:.1f} ms")
    lines += _differences(document)
    if document["rotating"]:
        lines.append(
            f"  {'rotation':<10} not finished, two certificates of the peer are accepted: hagit enroll --rotate"
        )
    return lines


def _differences(document: dict[str, Any]) -> list[str]:
    said, lines = document["peer"], []
    ahead_s = document["clock_s"]
    if ahead_s is not None:
        lines.append(f"  {'clock':<10} {_clock_text(ahead_s, document['round_trip_s'])}")
    lines.append(f"  {'hagit':<10} {_same(said.get('hagit'), document['hagit'])}")
    revision = said.get("revision")
    commit = revision.get("commit", "") if isinstance(revision, dict) else ""
    lines.append(f"  {'revision':<10} {_same(_text(commit)[:12] or 'none', document['revision'][:12] or 'none')}")
    if document["orders"] is not None or said.get("orders") is not None:
        lines.append(f"  {'orders':<10} generation {_same(said.get('orders'), document['orders'])}")
    serial = _text(said.get("serial"))
    if serial != document["serial"]:
        lines.append(
            f"  {'serial':<10} it says {serial!r} now: another machine has its keys, or its board was replaced"
        )
    return lines


def _clock_text(ahead_s: float, round_trip_s: float) -> str:
    """The peer's clock beside ours. The answer was made at some moment within the round trip."""
    if abs(ahead_s) <= round_trip_s:
        return f"as here, within {1000 * round_trip_s:.1f} ms"
    mark = "" if abs(ahead_s) <= CLOCK_S_MAX else ": set the clocks, the journals of both are hard to compare"
    return f"{abs(ahead_s):.3f} s {'ahead of' if ahead_s > 0 else 'behind'} this one{mark}"


def _text(value: object) -> str:
    return printable(cut(value, 80)) if isinstance(value, str) else ""


def _same(there: object, here: object) -> str:
    """A value of the peer, and ours when it is another."""
    text = printable(cut(str(there), 80))
    return text if there == here else f"{text}; here {here}"
