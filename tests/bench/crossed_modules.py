"""How many of our modules a commit crosses on its way to the kernel, and a heartbeat on its way to a claim.

    python -m tests.bench.crossed_modules [--list]

A module is crossed if one of its functions runs; an import alone does not count, and neither does what an import runs.
The first way is the process of `hagit agent --once` that finds a new commit and applies it. The second is the loop of a
standby watchdog whose peer is killed: the last frames received, and the callback that sends the claim to a worker.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from reconciler.core.failover.reservations.key import Side
from tests.controller import PAIR, controller_at, interface
from tests.wait import until
from tests.watchdog.pair import Pair

ROOT: Final = Path(__file__).parent.parent.parent

#: Installed as `sitecustomize` in the traced process. A frame whose ancestor is the body of a module is an import.
TRACER: Final = """
import json, os, sys, threading

ROOT, OUTPUT, LOOP = os.environ["CROSSED_ROOT"], os.environ["CROSSED_OUTPUT"], os.environ.get("CROSSED_LOOP", "")
OPTIMIZED = 1  # CO_OPTIMIZED (inspect): a function, not the body of a module or class
PID = os.getpid()
crossed, callback, frames = set(), set(), []


def name_of(frame):
    path = frame.f_code.co_filename
    return path[len(ROOT) + 1 : -3] if path.startswith(ROOT + "/reconciler/") else ""


def is_import(frame):
    while frame is not None:
        if frame.f_code.co_name == "<module>" and name_of(frame) and frame.f_globals["__name__"] != "__main__":
            return True
        frame = frame.f_back
    return False


def whole(frame, event, _argument):
    if event == "call" and frame.f_code.co_flags & OPTIMIZED:
        name = name_of(frame)
        if name and name not in crossed and not is_import(frame):
            crossed.add(name)
            done(sorted(crossed), f".{os.getpid()}")


def by_callback(frame, event, _argument):
    if os.getpid() != PID:
        return
    back = frame.f_back
    if event == "call" and frame.f_code.co_flags & OPTIMIZED:
        name = name_of(frame)
        if back is not None and back.f_code.co_name == "run_once" and name and "event_loop" not in name:
            callback.clear()
        if name and not is_import(frame):
            callback.add(name)
    elif event == "return" and frame.f_code.co_name == LOOP and frame.f_locals.get("key") is not None:
        done({"frame": sorted(set().union(*frames[-20:])), "claim": sorted(callback)})
    elif event == "return" and back is not None and back.f_code.co_name == "run_once":
        if "reconciler/core/failover/heartbeats/wire" in callback and "reconciler/watchdog/heartbeats" in callback:
            frames.append(frozenset(callback))


def done(document, of=""):
    with open(OUTPUT + of + ".new", "w") as file:
        json.dump(document, file)
    os.replace(OUTPUT + of + ".new", OUTPUT + of)


if LOOP:
    sys.setprofile(by_callback)
else:
    threading.setprofile(whole)
    sys.setprofile(whole)
"""


def environment(directory: Path, output: Path, loop: str = "") -> dict[str, str]:
    """What makes a process of ours write its crossings to `output`."""
    (directory / "sitecustomize.py").write_text(TRACER)
    return {
        "PYTHONPATH": f"{directory}:{ROOT}",
        "CROSSED_ROOT": str(ROOT),
        "CROSSED_OUTPUT": str(output),
        "CROSSED_LOOP": loop,
    }


def of_a_commit(directory: Path) -> list[str]:
    """The modules between a new commit and the kernel: a link gets an address and an MTU."""
    output = directory / "commit.json"
    with controller_at(directory / "a") as controller:
        controller.work.commit("Address", pair__yaml=_pair(9000))
        controller.apply()
        controller.work.commit("Another address", pair__yaml=_pair(1500, "10.0.0.2/24"))
        done = controller.hagit("agent", "--once", **environment(directory, output))
        assert done.code == 0, done
        assert "10.0.0.2/24" in controller.addresses("e0"), done
    parts = [json.loads(part.read_text()) for part in directory.glob(f"{output.name}.*") if part.suffix != ".new"]
    assert parts
    return sorted({name for part in parts for name in part})


def _pair(mtu: int, address: str = "10.0.0.1/24") -> str:
    return PAIR + interface("e0", address, mtu=mtu)


def of_a_heartbeat(directory: Path) -> tuple[list[str], list[str]]:
    """The modules of the last frames, and of the callback that begins the claim."""
    output = directory / "claim.json"
    pair = Pair(directory / "pair")
    try:
        pair.heads[Side.B].environment |= environment(directory, output, "run_claim")
        pair.settle()
        pair.a.kill()
        until(output.exists, lambda: pair.b.logs())
    finally:
        pair.close()
    found = json.loads(output.read_text())
    return found["frame"], found["claim"]


def main() -> int:
    """Print both counts."""
    parser = argparse.ArgumentParser(prog="crossed_modules", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print the modules, too")
    chosen = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("crossed_modules: this needs root, for network namespaces")
    with tempfile.TemporaryDirectory(prefix="hagit-crossed-") as place:
        commit = of_a_commit(Path(place))
        frame, claim = of_a_heartbeat(Path(place))
    print(f"commit to kernel: {len(commit)} modules")
    total = len({*frame, *claim})
    print(f"heartbeat to claim: {total} modules ({len(frame)} receive a frame, {len(claim)} begin a claim)")
    if chosen.list:
        print("\n".join(["", "commit:", *commit, "", "frame:", *frame, "", "claim:", *claim]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
