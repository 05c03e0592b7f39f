"""KEEP=1: the pair goes on after the story, and somebody else plays with it.

Starts whatever ends, as an init system and a power button would. Decides nothing else.
"""

from __future__ import annotations

import os
import shlex
import sys
import threading
from pathlib import Path
from typing import Final

from reconciler.demo.managed_controller import write_entrance
from reconciler.demo.pair_narration import Watching
from reconciler.demo.testbed import OUTSIDE

#: How long what has ended stays so: a person wants to see it.
LOOK_S: Final = 0.2
OFF_S: Final = 5.0


def keep(pair: Watching) -> None:
    """Until it is interrupted: daemons are started again at once, controllers that are off after some seconds."""
    pause = threading.Event()
    off = dict.fromkeys(pair.power, 0.0)
    while True:
        pause.wait(LOOK_S)
        for name, power in pair.power.items():
            off[name] = 0.0 if power.powered else off[name] + LOOK_S
            if power.powered:
                power.start()
            elif off[name] > OFF_S and not power.on:
                pair.boot(name)


def hint(pair: Watching) -> str:
    """What to try, from another terminal."""
    root, python = pair.repository.root, sys.executable
    write_entrance(pair.stage, pair.repository, "client")
    shelf = f"PYTHONPATH={Path(__file__).parents[2]} {python} -m reconciler.demo.shelf_command {pair.repository.shelf}"
    lines = ["The pair goes on until you press Ctrl-C; whatever ends is started again. From another terminal:", ""]
    if outside := os.environ.get(OUTSIDE):
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
