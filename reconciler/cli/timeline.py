"""`hagit timeline`: every failover with the milliseconds of its parts, and the single events.

Reads the file in the state directory, so it works while the watchdog does not run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import typer

from reconciler.cli.duration import duration_text
from reconciler.cli.options import NodeOption, Output, OutputOption
from reconciler.cli.terminal import fold, styled, width
from reconciler.cli.watchdog_text import failover_text, utc_text
from reconciler.core.status.plain_document import document_of
from reconciler.core.status.timeline import (
    EventMark,
    FailoverSummary,
    TimelineEvent,
    event_document,
    summaries,
)
from reconciler.system.node import find_node_file, load_node
from reconciler.system.watchdog_client import read_timeline

WORDS: Final = {
    EventMark.ADDRESSES_UP.value: "virtual addresses are here: clients are answered",
    EventMark.ADDRESSES_DOWN.value: "virtual addresses are gone",
    EventMark.SHARES_UP.value: "clients can use shares",
    EventMark.SHARES_DOWN.value: "a server of shares has stopped",
    EventMark.PEER_ACTIVE.value: "the peer says that it is active",
    EventMark.ASKED.value: "a person asks",
    EventMark.DRILL.value: "a drill begins",
    EventMark.STARTED.value: "the watchdog starts",
}


def timeline(
    count: Annotated[int, typer.Option("--count", "-n", help="How many of each, newest last.", min=1)] = 20,
    failovers: Annotated[bool, typer.Option("--failovers", help="Only failovers, without single events.")] = False,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Every failover, with the milliseconds of its parts, and single events.

    \b
    Example:  hagit timeline
              hagit timeline --failovers -n 5 -o json
    """
    events, as_json = read_timeline(load_node(find_node_file(node))), output is Output.JSON
    moves = summaries(events)
    shown = () if failovers else events[-count:]
    if as_json:
        document = {
            "format": "hagit.timeline/1",
            "failovers": [document_of(one) for one in moves[-count:]],
            "events": [event_document(event) for event in shown],
        }
        print(json.dumps(document, indent=1))
        return 0
    if not events:
        print("Nothing has happened yet: the watchdog has not run on this controller.")
        return 0
    for line in (*_failovers(moves[-count:], failovers), *_events(shown)):
        print(line)
    return 0


def _failovers(moves: Sequence[FailoverSummary], alone: bool) -> Iterator[str]:
    if not moves:
        if alone:
            yield "No failover yet."
        return
    yield styled(f"Failovers ({len(moves)}), newest last", 1)
    for one in moves:
        yield from _folded(
            f"{utc_text(one.at)}  ", f"{failover_text(one)}. {one.why[:1].upper()}{one.why[1:]}".rstrip(". ") + "."
        )
    if not alone:
        yield ""


def _events(events: Sequence[TimelineEvent]) -> Iterator[str]:
    if events:
        yield styled(f"Events ({len(events)}), newest last, UTC", 1)
    for event in events:
        since = "" if event.since_ms is None else f"+{duration_text(event.since_ms)}"
        yield from _folded(f"{event.at[:23].replace('T', ' ')}  {since:<8}  ", _words(event))


def _words(event: TimelineEvent) -> str:
    evidence = f" ({event.evidence})" if event.evidence else ""
    if event.mark == EventMark.PHASE:
        return f"{event.old} → {event.new}: {event.text}{evidence}"
    what = WORDS.get(event.mark, event.mark)
    more = event.text or event.code.lower().replace("_", "-")
    return f"{what}{f': {more}' if more else ''}{evidence}"


def _folded(head: str, text: str) -> Iterator[str]:
    lines = fold(text, width() - len(head) - 1)
    for at, line in enumerate(lines):
        yield f"{head if not at else ' ' * len(head)}{line}"
