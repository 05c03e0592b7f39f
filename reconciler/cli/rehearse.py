"""What `hagit rehearse` does: find the orders, play, print."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from reconciler.cli.terminal import paint
from reconciler.core.failover.orders import Orders
from reconciler.errors import UsageError
from reconciler.simulation.faults import FAULTS
from reconciler.simulation.rehearse import Rehearsal, document, question, rehearse, render, with_shelf
from reconciler.simulation.script import PAIR, Event, Story, milliseconds, read

SCRIPT_BYTES_MAX = 1_000_000
RUNS_MAX = 10_000
STATES_MAX = 20_000_000


def run_faults(as_json: bool) -> int:
    """`hagit rehearse --faults`."""
    if as_json:
        rows = [{"fault": one.name, "takes": list(one.takes), "models": one.models, "assumed": one.assumed}
                for one in FAULTS.values()]  # fmt: skip
        print(json.dumps({"format": "hagit.faults/1", "faults": rows}, indent=1))
        return 0
    width = max(len(" ".join((one.name, *one.takes))) for one in FAULTS.values())
    for one in FAULTS.values():
        name = " ".join((one.name, *(kind.upper() for kind in one.takes)))
        print(f"{name:<{width}}  {one.models}{'' if one.assumed else '  (outside of what is assumed)'}")
    return 0


def run_rehearse(
    node_file: Path | None, as_json: bool, *, words: list[str], script: Path | None, last: str | None, runs: int,
    explore: bool, states: int, revision: str | None, directory: Path | None,
) -> int:  # fmt: skip
    """`hagit rehearse`."""
    if not 1 <= runs <= RUNS_MAX or not 1 <= states <= STATES_MAX:
        raise UsageError(f"--runs is 1 to {RUNS_MAX}, --states 1 to {STATES_MAX}")
    if explore:
        return _explore(_orders(node_file, revision, directory), states, as_json)
    if bool(words) == (script is not None):
        raise UsageError("what should happen?", remedy="hagit rehearse power-loss a; hagit rehearse --faults lists all")
    orders = _orders(node_file, revision, directory)
    try:
        lasts_ms = None if last is None else milliseconds(last)
    except ValueError as error:
        raise UsageError(f"--for {last}: {error}", remedy="30s, 5m, 250ms") from error
    physics = None
    if script is not None:
        story = _read(script)
        events, physics = story.events, story.physics
        if lasts_ms is None:
            lasts_ms = max(0, story.until_ms - max(event.at_ms for event in events))
    else:
        events = question(words)
    answer = rehearse(orders, events, lasts_ms=lasts_ms, physics=physics)
    others = [_lucky(orders, events, lasts_ms, seed) for seed in range(1, runs)]
    for other in others:
        answer = other if other.broken and not answer.broken else answer
    waits = sorted(one.longest_ms for one in (answer, *others))
    if as_json:
        print(json.dumps(document(answer) | {"runs": runs, "longest_ms": waits}, indent=1))
    else:
        print(render(answer))
        if runs > 1:
            print(f"In {runs} runs with luck clients wait {waits[len(waits) // 2] / 1000:.1f} s (median), "
                  f"{waits[-1] / 1000:.1f} s (longest).")  # fmt: skip
    return 1 if answer.broken else 0


def _lucky(orders: Orders, events: Sequence[Event], lasts_ms: int | None, seed: int) -> Rehearsal:
    from reconciler.simulation.swarm import luck

    return rehearse(orders, events, lasts_ms=lasts_ms, chance=luck(seed))


def _read(path: Path) -> Story:
    from reconciler.system.files import read_bytes

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
    """The orders of a directory, of the selected revision, or, where there is no pair yet, those of an example."""
    from reconciler.core.spec import load
    from reconciler.core.spec.orders import orders_of

    if directory is not None:
        from reconciler.system.git.tree import read_directory

        return orders_of(load(read_directory(directory)))
    from reconciler.system.node import find_node_file

    if node_file is None and revision is None and not find_node_file(None).exists():
        print("note: no node file and no -C DIRECTORY: an example pair is rehearsed", file=sys.stderr)
        return PAIR
    from reconciler.agent.session import Session

    with Session(node_file) as session:
        commit = revision
        if commit is None:
            selected = session.select().revision
            commit = selected.commit if selected is not None else None
        else:
            commit = session.find_revision(commit).commit
        if commit is None:
            raise UsageError("there is no revision to rehearse", remedy="commit a configuration, or give -C DIRECTORY")
        from reconciler.system.git.tree import read_tree

        return orders_of(load(read_tree(session.mirror, commit)))


def _explore(orders: Orders, states_max: int, as_json: bool) -> int:
    """Every scene of the exhaustive world with this pair's own policy, timers and shelf, made small enough for it."""
    from reconciler.core.failover.unsafe import unsafe
    from reconciler.simulation.bounded import BoundedWorld
    from reconciler.simulation.explore import explore
    from reconciler.simulation.reduced import reduced, scenes_of

    complete, assumed = with_shelf(orders)
    for reason in unsafe(complete):
        raise UsageError(f"these orders are refused: {reason.what}", where=reason.where, remedy=reason.remedy)
    small = reduced(complete)
    if not as_json:
        for note in assumed:
            print(f"Assumed: {note}")
        print("To be searched whole, the pair is made small:", *(f"  {note}" for note in small.notes), sep="\n")
    broken, rows = 0, []
    for scene in scenes_of(small.orders):
        found = explore(BoundedWorld(scene), states_max)
        broken += bool(found.broken or found.stuck)
        rows.append({"scene": scene.name, "about": scene.about, "states": found.states, "moves": found.moves,
                     "depth": found.depth, "complete": found.complete, "broken": found.broken or None,
                     "stuck": found.stuck, "trace": list(found.trace or found.stuck_trace)})  # fmt: skip
        if not as_json:
            verdict = found.broken or (f"{found.stuck} states without a way back" if found.stuck else "holds")
            end = "every state" if found.complete else f"stopped at {states_max}"
            print(f"{scene.name:<10} {found.states:>9} states {found.moves:>10} moves  {end:<20} {paint(verdict, 1)}")
            for line in found.trace or found.stuck_trace:
                print(f"    {line}")
    if as_json:
        document = {"format": "hagit.exploration/1", "reduced": small.notes, "assumed": assumed, "scenes": rows}
        print(json.dumps(document, indent=1))
    return 1 if broken else 0
