"""`hagit failover`: enables or disables failover, for a time on this controller, or by a commit for both.

Whether the pair may fail over is configuration. Without --for the command shows the YAML to commit and changes nothing.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from reconciler.agent.session import Session
from reconciler.cli.duration import parsed_ms
from reconciler.cli.options import NodeOption, Output, OutputOption
from reconciler.cli.watchdog_request import DONE, REFUSED, fresh_status, request_answer
from reconciler.errors import HagitError
from reconciler.system.control_protocol import ControlRequest, RequestKind


class FailoverWord(StrEnum):
    """What the pair may do from now on."""

    DISABLE = "disable"
    ENABLE = "enable"


def failover(
    what: Annotated[FailoverWord, typer.Argument(help="Whether the pair may fail over.")],
    last: Annotated[
        str | None, typer.Option("--for", help="Only here, for this time, with an alert: 30m, 2h.", metavar="TIME")
    ] = None,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Disable or enable failover: by a commit, or here for a while with --for.

    Without --for nothing is changed: it shows the line of YAML to commit, because
    both controllers have to know (exit status 1). `enable` ends a --for early.

    \b
    Example:  hagit failover disable
              hagit failover disable --for 2h
              hagit failover enable
    """
    as_json, enable = output is Output.JSON, what is FailoverWord.ENABLE
    with Session(node) as session:
        if last is not None:
            request = ControlRequest(RequestKind.OVERRIDE, duration_ms=parsed_ms(last, "--for"), enabled=enable)
            return request_answer(session.node, request, as_json, still=not enable)
        status = fresh_status(session.node)
        if enable and status is not None and status.override is not None and not status.override.enabled:
            return request_answer(session.node, ControlRequest(RequestKind.OVERRIDE, end=True), as_json)
        word = "enabled" if enable else "disabled"
        if status is not None and status.orders.enabled is enable and status.orders.here:
            text = f"Nothing to do: failover is {word} by the orders (generation {status.orders.here})"
            return _nothing_to_do(text, as_json)
        text = _commit_wanted(session, enable)
    if as_json:
        print(json.dumps({"format": "hagit.answer/1", "accepted": False, "code": "COMMIT", "text": text}, indent=1))
    else:
        print(text)
    return REFUSED


def _nothing_to_do(text: str, as_json: bool) -> int:
    """Say that the orders are as wanted already."""
    document = {"format": "hagit.answer/1", "accepted": True, "code": "NOTHING", "text": text}
    print(json.dumps(document, indent=1) if as_json else f"{text}.")
    return DONE


def _commit_wanted(session: Session, enable: bool) -> str:
    """The change of YAML that enables or disables failover for both controllers, and the place for it."""
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
    """Name and place (FILE:LINE) of the Failover resource in force; the place is empty when there is none."""
    wanted = session.store.accepted().wanted
    if wanted is not None:
        try:
            found = session.configuration_for(wanted).failover
        except HagitError:
            found = None
        if found is not None:
            origin = found.origin()
            return found.name, f"{origin.file}:{origin.line}"
    return "failover", ""
