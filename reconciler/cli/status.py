"""`hagit status`: whether the pair is highly available, and which revision is in force on this controller.

Prints the watchdog's status first (`watchdog_text`), then the agent's (`agent/status_reader`), which works while no
agent runs, too.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from reconciler.agent.session import Session
from reconciler.agent.status_reader import lasting_drift, read_agent_status, recurring_drift, unpublished_orders
from reconciler.cli.options import NodeOption, Output, OutputOption
from reconciler.cli.terminal import fold, local_time, styled, width
from reconciler.cli.watchdog_text import reading_document, status_lines, styled_verdict
from reconciler.core.confirmation.pending_change import names_in_words
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
        document, reading = read_agent_status(session), query_status(session.node)
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
    """`hagit status --watch`: runs until it is interrupted. Redraws the page on a terminal, appends to a pipe."""
    shown, pause = "", threading.Event()
    with Session(node_file) as session:
        while True:
            document, reading = read_agent_status(session), query_status(session.node)
            if as_json:
                if reading is not None:
                    document["ha"] = reading_document(reading)
                print(json.dumps(document, separators=(",", ":")), flush=True)
            elif sys.stdout.isatty():
                # Home; clear the rest of each line, then the rest of the screen (ECMA-48 8.3.57, 8.3.39).
                drawn = "".join(f"{line}{escape()}[K\n" for line in _page(document, reading))
                print(f"{escape()}[H{drawn}{escape()}[J", end="", flush=True)
            else:
                page = _page(document, reading)
                if page[0] != shown:
                    print("\n".join(page), end="\n\n", flush=True)
                shown = page[0]
            pause.wait(WATCH_S)


def _page(document: dict[str, Any], reading: StatusReading | None) -> list[str]:
    """The page for people: the pair first, if there is a watchdog, then the revision in force on this controller."""
    applied = styled(document["verdict"], 1, 32 if document["well"] else 31)
    if reading is None:
        return [applied, *_agent_lines(document)]
    return [styled_verdict(reading), *status_lines(reading), applied, *_agent_lines(document)]


def _name_lines(published: dict[str, Any]) -> list[str]:
    """One name that clients use, and where they find it. Newer agents may know other ways and states."""
    where = f"in DNS at {published['place']}" if published["by"] == "dns" else f"by {published['by']}"
    state, name = published["state"], published["name"]
    if state == "published":
        return [f"  name       {name} is {', '.join(published['addresses'])} {where}"]
    if state == "standby":
        return [f"  name       {name} {where}: the active controller publishes it"]
    if state != "failing":
        return [f"  name       {name} {where}: being published"]
    told = [f"{name} {where} cannot be published here: {published['why']}"]
    told += [f"→ {published['remedy']}"] if published["remedy"] else []
    folded = [line for text in told for line in fold(text, width() - 14)]
    return [f"  {'' if at else 'name':<10} {line}" for at, line in enumerate(folded)]


def _change_lines(change: dict[str, Any]) -> list[str]:
    """A change that waits for its confirmation, or was taken back."""
    name = change["revision"]
    if change["stage"] == "reverted":
        return [f"  taken back {name}: {change['why']}"]
    silent = change.get("silent")
    waits = f"silent: {names_in_words(silent)}" if silent else "hagit confirm keeps it, hagit revert undoes it"
    return [f"  confirm    {name} is taken back in {change['left_s']} s; {waits}"]


def _agent_lines(document: dict[str, Any]) -> list[str]:
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
    if document.get("enrolled") is False:
        # Nothing is wrong with a pair that was set up by hand, so this is no reason.
        how = "not enrolled: `hagit enroll` on both controllers lets their agents speak"
        lines += [f"  {'' if at else 'peer':<10} {line}" for at, line in enumerate(fold(how, width() - 14))]
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
    lines += [f"  orders     not published: {matter['summary']}" for matter in unpublished_orders(document)]
    for published in document.get("names", ()):
        lines += _name_lines(published)
    if document.get("trust"):
        # Each remedy begins on a line of its own, so that its end is clear.
        ways = [f"→ {way}" for way in document["trust"]["remedy"].split("; ")]
        folded = [line for text in (document["trust"]["what"], *ways) for line in fold(text, width() - 14)]
        lines += [f"  {'' if at else 'trust':<10} {line}" for at, line in enumerate(folded)]
    if document.get("suspended"):
        suspended = document["suspended"]
        why = f": {suspended['reason']}" if suspended["reason"] else ""
        lines.append(f"  suspended  until {local_time(suspended['until_s'])}{why}; hagit resume ends it")
    if document.get("change"):
        lines += _change_lines(document["change"])
    if document.get("blocked"):
        lines.append(f"  blocked    {document['blocked']['commit'][:7]}: {document['blocked']['why']}")
    lines += [
        f"  drift      {item['text']}  ({item['mode']}, since {local_time(item['since_s'])})"
        for item in lasting_drift(document)
    ]
    lines += [
        f"  was drift  {item['text']}  (until {local_time(item['gone_since_s'])}; it came and went, so its alert waits)"
        for item in recurring_drift(document)
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
