"""`hagit diff` and `hagit drift`: differences between a revision and this controller.

`diff` compares with the newest revision, `drift` with the one in force. Neither makes a plan.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from reconciler.agent.session import Content, Session
from reconciler.cli.options import DirectoryOption, NodeOption, Output, OutputOption, RevisionOption
from reconciler.cli.revision_choice import choose_revision
from reconciler.cli.terminal import styled
from reconciler.core.facts.difference import Difference, DifferenceKind
from reconciler.core.facts.state import DriftMode
from reconciler.core.planning.drift import see
from reconciler.core.planning.fact_words import fact_name, fact_value
from reconciler.core.status.revision import Revision
from reconciler.errors import SourceError

#: Symbol and colour of each kind.
SYMBOLS: Final = {
    DifferenceKind.ADD: ("+", 32),
    DifferenceKind.CHANGE: ("~", 33),
    DifferenceKind.REMOVE: ("-", 31),
    DifferenceKind.FOREIGN: ("?", 36),
    DifferenceKind.UNKNOWN: ("!", 35),
}


def diff(
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
    revision: RevisionOption = None,
    directory: DirectoryOption = None,
) -> int:
    """The differences between the newest revision and this controller, without a plan. Exit: 0 none, 1 some, 2 error.

    \b
    Example:  hagit diff
    """
    with Session(node) as session:
        chosen, content = choose_revision(session, revision, directory)
        return _differences(session, chosen, content, output is Output.JSON)


def drift(node: NodeOption = None, output: OutputOption = Output.TEXT) -> int:
    """What has left the revision in force by itself, not counting what a newer commit asks for.

    Exit: 0 none, 1 some, 2 error.

    \b
    Example:  hagit drift
    """
    with Session(node) as session:
        applied = session.store.applied()
        if applied is None:
            raise SourceError("no revision was ever applied here", remedy="run `hagit apply`")
        if not applied.holds_now():
            print("note: nothing was applied since this controller booted", file=sys.stderr)
        content = session.content_for(applied.revision)
        return _differences(session, applied.revision, content, output is Output.JSON)


def _differences(session: Session, revision: Revision, content: Content, as_json: bool) -> int:
    """Print the differences that drift policy does not ignore. Returns 1 when there are any, else 0."""
    ignored = DriftMode.IGNORE
    policy = content.desired.drift
    session.host.select_storage(content.keys())
    found = [
        item
        for item in see(content.desired, session.host.observe()).differences
        if policy.mode(item.resource) is not ignored
    ]
    if as_json:
        documents = [_document(item) for item in found]
        print(json.dumps({"format": "hagit.differences/1", "revision": revision.full_name, "differences": documents}))
    elif not found:
        print(f"No differences. Live state matches {revision.name}.")
    else:
        print(f"{len(found)} difference{'s' if len(found) > 1 else ''} between {revision.name} and live:")
        for item in found:
            print(_line(item))
    return 1 if found else 0


def _line(item: Difference) -> str:
    """One difference in a line: symbol, fact, reason, and the place that asks for it. `+`: an apply makes it."""
    symbol, color = SYMBOLS[item.kind]
    fact = item.desired if item.desired is not None else item.observed
    what = fact_name(fact) if fact is not None else " ".join(item.key)
    place = f"  {item.origin.file}:{item.origin.line}" if item.origin else ""
    return f"  {styled(symbol, color)} {item.resource or 'no resource'}: {what}  ({item.why}){place}"


def _document(item: Difference) -> dict[str, Any]:
    """The JSON form of a difference."""
    return {
        "kind": item.kind.value,
        "key": list(item.key),
        "resource": item.resource,
        "why": item.why,
        "desired": fact_value(item.desired) if item.desired else None,
        "live": fact_value(item.observed) if item.observed else None,
        "origin": f"{item.origin.file}:{item.origin.line}" if item.origin else None,
    }
