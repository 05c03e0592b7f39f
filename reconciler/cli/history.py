"""`hagit history` and `hagit decisions`: the agent's records of what it applied and what it decided."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from reconciler.agent.session import Session
from reconciler.cli.options import NodeOption, Output, OutputOption
from reconciler.cli.terminal import local_time

CountOption = Annotated[int, typer.Option("--count", "-n", help="How many lines, newest last.", min=1)]


def history(node: NodeOption = None, output: OutputOption = Output.TEXT, count: CountOption = 20) -> int:
    """Every revision that was applied, rolled back or refused here.

    \b
    Example:  hagit history -n 5
    """
    with Session(node) as session:
        entries = session.store.history()[-count:]
    if output is Output.JSON:
        print(json.dumps({"format": "hagit.history/1", "entries": entries}, indent=1))
        return 0
    if not entries:
        print("Nothing was applied here yet.")
    for entry in entries:
        revision = entry["revision"]
        counts = ", ".join(f"{number} {verb}d" for verb, number in entry.get("counts", {}).items()) or "no change"
        detail = entry.get("why") or (f"{counts}, {entry['held']} held" if entry.get("held") else counts)
        name = f"{revision['branch']}@{revision['commit'][:7]}"
        signed = f", signed by {revision['signer']}" if revision.get("signer") else ""
        print(f"{local_time(entry['at_s'])}  {entry['what']:<11}  {name}  {revision['summary']}  "
              f"({revision['author']}{signed})  {detail}")  # fmt: skip
    return 0


def decisions(node: NodeOption = None, count: CountOption = 20) -> int:
    """The agent's structured journal: everything it decided and from what, one JSON document a line.

    \b
    Example:  hagit decisions -n 100 | jq 'select(.decision == "drift")'
    """
    with Session(node) as session:
        for line in session.store.decisions()[-count:]:
            print(json.dumps(line, separators=(",", ":")))
    return 0
