"""`hagit rehearse`: asks the simulated pair "what if", on the orders of this pair.

`simulation` plays the events with the decisions of the watchdog; the command finds the orders and prints the answer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from reconciler.cli.options import DirectoryOption, NodeOption, Output, OutputOption, RevisionOption
from reconciler.cli.terminal import styled
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.orders.safety_checks import unsafe
from reconciler.errors import UsageError
from reconciler.simulation.exhaustive.explorer import explore as search
from reconciler.simulation.exhaustive.reduced_orders import reduced, scenes_of
from reconciler.simulation.exhaustive.world import BoundedWorld
from reconciler.simulation.timed import rehearsal as simulated
from reconciler.simulation.timed.faults import FAULTS
from reconciler.simulation.timed.stories import PAIR, Event, Story, milliseconds, read
from reconciler.simulation.timed.swarm import luck
from reconciler.system.files import read_bytes
from reconciler.system.node import find_node_file, load_node

SCRIPT_BYTES_MAX: Final = 1_000_000
RUNS_MAX: Final = 10_000
STATES_MAX: Final = 20_000_000


def rehearse(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="What happens, one after the other, as `--faults` lists it.", metavar="[EVENT…]"),
    ] = None,
    script: Annotated[Path | None, typer.Option("--script", help="A file of timed events instead.")] = None,
    last: Annotated[
        str | None, typer.Option("--for", help="How long to watch after the last event: 30s, 5m.", metavar="TIME")
    ] = None,
    runs: Annotated[int, typer.Option("--runs", help="Repeat it this many times with random delays.")] = 1,
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
    as_json = output is Output.JSON
    if faults:
        return _print_faults(as_json)
    if not 1 <= runs <= RUNS_MAX or not 1 <= states <= STATES_MAX:
        raise UsageError(f"--runs is 1 to {RUNS_MAX}, --states 1 to {STATES_MAX}")
    if explore:
        return _explore(_orders(node, revision, directory), states, as_json)
    if bool(words) == (script is not None):
        raise UsageError("what should happen?", remedy="hagit rehearse power-loss a; hagit rehearse --faults lists all")
    return _play(_orders(node, revision, directory), words or [], script, last, runs, as_json)


def _play(orders: Orders, words: Sequence[str], script: Path | None, last: str | None, runs: int, as_json: bool) -> int:
    """Play the events once, and `runs - 1` times more with random delays; print the longest wait of clients."""
    try:
        lasts_ms = None if last is None else milliseconds(last)
    except ValueError as error:
        raise UsageError(f"--for {last}: {error}", remedy="30s, 5m, 250ms") from error
    events: Sequence[Event]
    protocols: tuple[str, ...]
    physics, protocols = None, ()
    if script is not None:
        story = _read(script)
        events, physics, protocols = story.events, story.physics, story.protocols
        if lasts_ms is None:
            lasts_ms = max(0, story.until_ms - max(event.at_ms for event in events))
    else:
        events = simulated.question(words)
    answer = simulated.rehearse(orders, events, lasts_ms=lasts_ms, physics=physics, protocols=protocols)
    others = [simulated.rehearse(orders, events, lasts_ms=lasts_ms, chance=luck(seed), protocols=protocols)
              for seed in range(1, runs)]  # fmt: skip
    for other in others:
        answer = other if other.broken and not answer.broken else answer
    waits = sorted(one.longest_ms for one in (answer, *others))
    if as_json:
        print(json.dumps(simulated.document(answer) | {"runs": runs, "longest_ms": waits}, indent=1))
    else:
        print(simulated.render(answer))
        if runs > 1:
            print(f"In {runs} runs with random delays clients wait {waits[len(waits) // 2] / 1000:.1f} s (median), "
                  f"{waits[-1] / 1000:.1f} s (longest).")  # fmt: skip
    return 1 if answer.broken else 0


def _print_faults(as_json: bool) -> int:
    """Print every event that a rehearsal knows."""
    if as_json:
        rows = [{"fault": one.name, "takes": list(one.takes), "models": one.models, "assumed": one.assumed}
                for one in FAULTS.values()]  # fmt: skip
        print(json.dumps({"format": "hagit.faults/1", "faults": rows}, indent=1))
        return 0
    width = max(len(" ".join((one.name, *one.takes))) for one in FAULTS.values())
    for one in FAULTS.values():
        name = " ".join((one.name, *(kind.upper() for kind in one.takes)))
        print(f"{name:<{width}}  {one.models}{'' if one.assumed else '  (outside the assumptions)'}")
    return 0


def _read(path: Path) -> Story:
    """The story in a script. Raises UsageError with file and line."""
    text = read_bytes(path, SCRIPT_BYTES_MAX)
    if text is None:
        raise UsageError("there is no such script", where=str(path))
    try:
        story = read(text.decode(errors="replace"))
    except UsageError as error:
        raise UsageError(error.what, where=f"{path}:{error.where}", remedy=error.remedy) from error
    if not story.events:
        raise UsageError("nothing happens in this script", where=str(path), remedy="at 5s power-loss a")
    return story


def _orders(node_file: Path | None, revision: str | None, directory: Path | None) -> Orders:
    """The orders of a directory or of the selected revision; those of an example pair where there is no node file."""
    from reconciler.core.spec.orders import orders_of

    if directory is not None:
        from reconciler.cli.repository_files import configuration_in

        file = find_node_file(node_file)
        folder = load_node(file).source.path if file.exists() else ""
        return orders_of(configuration_in(directory, folder))
    if node_file is None and revision is None and not find_node_file(None).exists():
        print("note: no node file and no -C DIRECTORY: an example pair is rehearsed", file=sys.stderr)
        return PAIR
    from reconciler.agent.session import Session

    with Session(node_file) as session:
        chosen = session.find_revision(revision) if revision is not None else session.select().revision
        if chosen is None:
            raise UsageError("there is no revision to rehearse", remedy="commit a configuration, or give -C DIRECTORY")
        return orders_of(session.configuration_for(chosen))


def _explore(orders: Orders, states_max: int, as_json: bool) -> int:
    """Search every scene of the exhaustive world with the policy, timers and shelf of this pair, reduced to fit."""
    complete, assumed = simulated.with_shelf(orders)
    for reason in unsafe(complete):
        raise UsageError(f"these orders are refused: {reason.what}", where=reason.where, remedy=reason.remedy)
    small = reduced(complete)
    if not as_json:
        for note in assumed:
            print(f"Assumed: {note}")
        print("To be searched whole, the pair is made small:", *(f"  {note}" for note in small.notes), sep="\n")
    broken, rows = 0, []
    for scene in scenes_of(small.orders):
        found = search(BoundedWorld(scene), states_max)
        broken += bool(found.broken or found.stuck)
        rows.append({"scene": scene.name, "about": scene.about, "states": found.states, "moves": found.moves,
                     "depth": found.depth, "complete": found.complete, "broken": found.broken or None,
                     "stuck": found.stuck, "trace": list(found.trace or found.stuck_trace)})  # fmt: skip
        if not as_json:
            verdict = found.broken or (f"{found.stuck} states without a way back" if found.stuck else "holds")
            end = "every state" if found.complete else f"stopped at {states_max}"
            print(f"{scene.name:<10} {found.states:>9} states {found.moves:>10} moves  {end:<20} {styled(verdict, 1)}")
            for line in found.trace or found.stuck_trace:
                print(f"    {line}")
    if as_json:
        document = {"format": "hagit.exploration/1", "reduced": small.notes, "assumed": assumed, "scenes": rows}
        print(json.dumps(document, indent=1))
    return 1 if broken else 0
