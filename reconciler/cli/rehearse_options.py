"""The command `hagit rehearse`: questions to the simulated pair."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import DirectoryOption, NodeOption, Output, OutputOption, RevisionOption


def rehearse(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="What happens, one after the other, as `--faults` lists it.", metavar="[EVENT…]"),
    ] = None,
    script: Annotated[Path | None, typer.Option("--script", help="A file of timed events instead.")] = None,
    last: Annotated[
        str | None, typer.Option("--for", help="How long to watch after the last event: 30s, 5m.", metavar="TIME")
    ] = None,
    runs: Annotated[int, typer.Option("--runs", help="So many times, with luck: shows the longest wait.")] = 1,
    explore: Annotated[bool, typer.Option("--explore", help="Try every order of events in a small world.")] = False,
    states: Annotated[int, typer.Option("--states", help="Where --explore stops a scene.")] = 200_000,
    faults: Annotated[bool, typer.Option("--faults", help="List everything that can happen.")] = False,
    node: NodeOption = None,
    revision: RevisionOption = None,
    directory: DirectoryOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Ask the simulated pair "what if", on this pair's own orders. Touches nothing; 1 when an invariant broke.

    The same decisions as in the watchdog, in simulated time. What a storage administrator asks first:

    \b
    The active dies: how long do clients wait?   power-loss a
    The interlink is pulled: does anything move? cable-pull interlink
    Every cable is out: can both write?          all-cables
    One loses its disks: does the other notice?  disks-lost a
    How long is a switchover; if export hangs?   export-hangs a switchover
    Power is back after an outage: who serves?   power-loss-both heal everything

    \b
    Example:  hagit rehearse power-loss a
              hagit rehearse disable power-loss a -C examples/minimal-pair
              hagit rehearse --script drill.txt -o json
    """
    from reconciler.cli.rehearse import run_faults, run_rehearse

    if faults:
        return run_faults(output is Output.JSON)
    return run_rehearse(
        node, output is Output.JSON, words=words or [], script=script, last=last, runs=runs, explore=explore,
        states=states, revision=revision, directory=directory,
    )  # fmt: skip
