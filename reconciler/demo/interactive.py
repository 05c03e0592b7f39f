"""KEEP=1: keep the pair running after the story, so that the user can try things on it.

Starts daemons that end, as an init system would, and switches controllers on again that were reset.
"""

from __future__ import annotations

import os
import shlex
import sys
import threading
from pathlib import Path
from typing import Final

from reconciler.demo.managed_controller import write_enter_script
from reconciler.demo.pair_narration import PairNarrator
from reconciler.demo.testbed import OUTER_PID_VARIABLE

#: Time between two checks, and how long a controller stays off, so that the user can see it.
POLL_S: Final = 0.2
OFF_S: Final = 5.0


def keep_running(pair: PairNarrator) -> None:
    """Run until Ctrl-C: start ended daemons at once, and controllers that are off after `OFF_S` seconds."""
    pause = threading.Event()
    off = dict.fromkeys(pair.controllers, 0.0)
    while True:
        pause.wait(POLL_S)
        for name, controller in pair.controllers.items():
            off[name] = 0.0 if controller.powered else off[name] + POLL_S
            if controller.powered:
                controller.start()
            elif off[name] > OFF_S and not controller.on:
                pair.switch_on(name)


def usage_hints(pair: PairNarrator) -> str:
    """Commands to try from another terminal."""
    root, python = pair.repository.root, sys.executable
    write_enter_script(pair.testbed, pair.repository, "client")
    shelf = f"PYTHONPATH={Path(__file__).parents[2]} {python} -m reconciler.demo.shelf_command {pair.repository.shelf}"
    lines = ["The pair goes on until you press Ctrl-C; whatever ends is started again. From another terminal:", ""]
    if outside := os.environ.get(OUTER_PID_VARIABLE):
        enter = f"nsenter --target $(pgrep -P {outside}) --user --preserve-credentials --mount --net --pid"
        lines += [f"  {enter} bash    # first: everything is in a user namespace"]
    lines += [
        f"  cd {shlex.quote(str(root))}",
        "  ./on-a hagit status --watch                     # on-b, on-client; without a command: a shell",
        "  ./on-client ping -i 0.1 10.77.1.10              # the virtual address",
        "  ./on-a hagit timeline; ./on-a hagit switchover --plan",
        f"  ./on-a hagit drill --peer '{root}/on-b hagit'",
        "  ./on-a hagit rehearse power-loss a              # before you do it; --faults lists more",
        "",
        f"  pkill -9 -f 'watchdog --node {root}/a/'    # a watchdog dies; -STOP: it sleeps, -CONT: it wakes",
        f"  pkill -f 'demo.deadman {root}/a/'          # the plug of a is pulled; it boots {OFF_S:.0f} s later",
        "  ./on-client ip link set a-link0 down            # cables: a-link0, a-data0, a-mgmt0, b-...",
        "",
        f"  {shelf} state",
        "    # or: faults; inject disks-lost a; heal disks-lost a; history",
        "",
        f"  git -C {pair.repository.path} log    # what both follow; edit pair.yaml there and commit",
    ]
    return "\n".join(lines)
