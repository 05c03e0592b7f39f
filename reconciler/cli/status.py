"""`hagit status`: whether the pair is highly available, and which revision is in force on this controller.

The watchdog's status comes first (`watchdog_text`); then follows the agent's, completed by the state directory, so that
it is shown while no agent runs, too.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from reconciler.agent.session import Session
from reconciler.agent.source.unsigned_commits import trust_document, unsigned_warning
from reconciler.cli.options import NodeOption, Output, OutputOption
from reconciler.cli.terminal import fold, local_time, styled, width
from reconciler.cli.watchdog_text import reading_document, status_lines, styled_verdict
from reconciler.errors import StateError
from reconciler.system.clock import wall_s
from reconciler.system.files import holder_of
from reconciler.system.streams import escape
from reconciler.system.watchdog_client import StatusReading, query_status

#: Lines of one error in a status; `hagit plan` shows the rest.
TEXT_LINES_MAX: Final = 12
#: Between two looks of `hagit status --watch`.
WATCH_S: Final = 1.0


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again whenever it changes.")] = False,
    detailed: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 0: all is well, 1: an error, 2: something is not.")
    ] = False,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Whether the pair is highly available, and if not, why and what to do.

    The first line is the verdict: HA active, administratively disabled,
    unavailable, or failing over now. Then roles, heartbeats, orders and readiness,
    and what is in force on this controller. Works on either one, whatever runs.

    \b
    Example:  hagit status
              hagit status --watch
              hagit status -o json | jq .ha.verdict
    """
    as_json = output is Output.JSON
    if watch:
        return _watch(node, as_json)
    with Session(node) as session:
        document, reading = _status_document(session), query_status(session.node)
    well = bool(document["well"])
    if reading is not None:
        document["ha"] = reading_document(reading)
        well = well and document["ha"]["well"]
    if as_json:
        print(json.dumps(document, indent=1))
    else:
        print("\n".join(_page(document, reading)))
    return 2 if detailed and not well else 0


def _watch(node_file: Path | None, as_json: bool) -> int:
    """`hagit status --watch`: until it is interrupted. On a terminal the page is drawn anew, in a pipe appended."""
    shown, pause = "", threading.Event()
    with Session(node_file) as session:
        while True:
            document, reading = _status_document(session), query_status(session.node)
            if as_json:
                if reading is not None:
                    document["ha"] = reading_document(reading)
                print(json.dumps(document, separators=(",", ":")), flush=True)
            elif sys.stdout.isatty():
                # Home, each line with the rest of it cleared, then the rest of the screen (ECMA-48 8.3.57, 8.3.39).
                drawn = "".join(f"{line}{escape()}[K\n" for line in _page(document, reading))
                print(f"{escape()}[H{drawn}{escape()}[J", end="", flush=True)
            else:
                page = _page(document, reading)
                if page[0] != shown:
                    print("\n".join(page), end="\n\n", flush=True)
                shown = page[0]
            pause.wait(WATCH_S)


def _page(document: dict[str, Any], reading: StatusReading | None) -> list[str]:
    """Everything for people: the pair first, where there is a watchdog, then what is in force on this controller."""
    applied = styled(document["verdict"], 1, 32 if document["well"] else 31)
    if reading is None:
        return [applied, *_status_lines(document)]
    return [styled_verdict(reading), *status_lines(reading), applied, *_status_lines(document)]


def _status_document(session: Session) -> dict[str, Any]:
    """What the agent published, completed by what the state directory says, with the verdict first."""
    published = session.store.status() or {}
    running = _agent_runs(session)
    applied = session.store.applied()
    document: dict[str, Any] = {"format": "hagit.status/1", "verdict": "", "well": False}
    document |= {key: value for key, value in published.items() if key != "format"}
    document["controller"] = session.node.controller
    document["agent"] = running
    document["age_s"] = round(wall_s() - published["at_s"], 1) if published else None
    document["in_force"] = bool(applied and applied.holds_now())
    document["applied"] = None if applied is None else {"name": applied.revision.name, "at_s": applied.at_s}
    if applied is not None:
        document["applied"] |= {
            "commit": applied.revision.commit,
            "author": applied.revision.author,
            "summary": applied.revision.summary,
            "signer": applied.revision.signer,
        }
    with contextlib.suppress(StateError):
        # Others than root may not read how far the source was followed; they see what the agent published.
        document["trust"] = trust_document(unsigned_warning(session.node, session.store.accepted()))
    document["verdict"], document["well"] = _verdict(document)
    return document


def _verdict(document: dict[str, Any]) -> tuple[str, bool]:
    applied = document["applied"]
    controller = f"Controller {document['controller']}"
    if applied is None:
        return f"{controller}: no revision was applied yet.", False
    name = applied["name"]
    if not document["in_force"]:
        return f"{controller}: {name} was applied before the last boot and is not in force.", False
    if document.get("failure") and document["agent"]:
        return f"{controller}: applying fails; {name} is in force.", False
    if document.get("refusal") and document["agent"]:
        return f"{controller}: {name} is in force; a newer commit or the source is refused.", False
    drifted = _drifted(document)
    if drifted and document["agent"]:
        count = len(drifted)
        return f"{controller}: {count} difference{'s' if count > 1 else ''} drifted from {name}.", False
    if not document["agent"]:
        return f"{controller}: {name} was applied; the agent does not run, so nobody watches.", False
    if _unpublished(document):
        return f"{controller}: {name} is in force; the watchdog's orders could not be published.", False
    if document.get("holds"):
        return f"{controller}: {name} is in force, with {len(document['holds'])} held.", False
    return f"{controller}: {name} is in force; live state matches.", True


def _drifted(document: dict[str, Any]) -> list[dict[str, Any]]:
    """What differs now, without what is told as held already: a NIC that is missing is one matter, not two."""
    held = [(hold["key"], hold["why"]) for hold in document.get("holds", ())]
    return [
        item
        for item in document.get("drift", ())
        if not item.get("gone_since_s") and not any(key == item["key"] or why in item["text"] for key, why in held)
    ]


def _over(document: dict[str, Any]) -> list[dict[str, Any]]:
    """What came and went several times and is not there now; the agent calls it resolved when it stays away."""
    return [item for item in document.get("drift", ()) if item.get("gone_since_s")]


def _status_lines(document: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    applied = document["applied"]
    if applied:
        signed = f", signed by {applied['signer']}" if applied["signer"] else ", not signed"
        lines.append(f"  revision   {applied['name']}  {applied['summary']}  ({applied['author']}{signed})")
        lines.append(f"  applied    {local_time(applied['at_s'])}")
    if document["agent"]:
        lines.append(f"  agent      running (pid {document.get('pid')}), last published {document['age_s']} s ago")
    else:
        lines.append("  agent      not running: start it with `hagit agent`")
        if document.get("at_s"):
            lines.append(f"             what it said last, at {local_time(document['at_s'])}, follows; it may be over")
    head, revision = document.get("head"), document.get("revision") or {}
    if head and head != revision.get("commit"):
        lines.append(f"  newest     {head[:7]}")
    for name in ("refusal", "failure"):
        error = document.get(name)
        if error:
            said = error["what"].splitlines()
            if len(said) > TEXT_LINES_MAX:
                said = [*said[:TEXT_LINES_MAX], f"… {len(said) - TEXT_LINES_MAX} more lines: hagit plan"]
            lines += [f"  {'' if at else name:<10} {line}" for at, line in enumerate(said)]
    if document.get("orders") is not None:
        lines.append(f"  orders     generation {document['orders']}")
    lines += [f"  orders     not published: {matter['summary']}" for matter in _unpublished(document)]
    if document.get("trust"):
        # Each way out on lines of its own: none is read as if it ended where the line does.
        ways = [f"→ {way}" for way in document["trust"]["remedy"].split("; ")]
        folded = [line for text in (document["trust"]["what"], *ways) for line in fold(text, width() - 14)]
        lines += [f"  {'' if at else 'trust':<10} {line}" for at, line in enumerate(folded)]
    if document.get("blocked"):
        lines.append(f"  blocked    {document['blocked']['commit'][:7]}: {document['blocked']['why']}")
    lines += [
        f"  drift      {item['text']}  ({item['mode']}, since {local_time(item['since_s'])})"
        for item in _drifted(document)
    ]
    lines += [
        f"  was drift  {item['text']}  (until {local_time(item['gone_since_s'])}; it came and went, so its alert waits)"
        for item in _over(document)
    ]
    for item in document.get("holds", ()):
        lines.append(f"  held       {item['why']}  ({item['gate']})")
        lines += [f"               {item['remedy']}"] if item.get("remedy") else []
    lines += [f"  remote     {item['remote']}: {item['why']}" for item in document.get("remotes", ())]
    lines += [f"  note       {note}" for note in document.get("notes", ())]
    lines += [
        f"  alerts     {count} wait for {target}" for target, count in document.get("waiting", {}).items() if count
    ]
    return lines


def _unpublished(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Why the watchdog has not been told what the revision says."""
    return [matter for matter in document.get("matters", ()) if matter["kind"] == "orders-unpublished"]


def _agent_runs(session: Session) -> bool:
    """An agent holds its lock for as long as it lives."""
    return holder_of(session.store.root / "agent.lock") is not None
