"""Power for the controllers of the demonstration, and what an init system would do there: start what has ended.

A controller that is on has a box (`demo/deadman`: its deadman, and what its shelf takes for the machine), a watchdog
and an agent. Losing power ends every process of its namespaces, and so the namespaces; a boot makes them anew. Decides
nothing about the pair.
"""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from reconciler.core.status.watchdog import WatchdogStatus, watchdog_from_document
from reconciler.demo.repository import DISKS, Repository
from reconciler.demo.testbed import CONTROLLERS, NETWORKS, Stage
from reconciler.simulation.timed import Physics

PHYSICS: Final = Physics()
WRITE_MS: Final = 50


def start_shelf(stage: Stage, repository: Repository) -> None:
    """The shelf, as slow as the one of `hagit rehearse`, so that both can be compared."""
    command = [sys.executable, "-m", "reconciler.demo.shelf_server", str(repository.shelf), "--disks", ",".join(DISKS)]
    for name, (low, high) in (
        ("command", PHYSICS.command_ms),
        ("import", PHYSICS.import_ms),
        ("export", PHYSICS.export_ms),
    ):
        command += [f"--{name}-ms", f"{low}-{high}"]
    command += ["--vdev", f"tank/mirror-0:1:{','.join(DISKS[:2])}", "--vdev", f"tank/mirror-1:1:{','.join(DISKS[2:])}"]
    # Cables to a shelf know no network; it lives where no power is taken away.
    stage["client"].start([*command, "--write-ms", str(WRITE_MS)], repository.root / "shelf.log")


class Power:
    """One controller."""

    def __init__(self, name: str, stage: Stage, repository: Repository) -> None:
        self.name = name
        self.home = repository.root / name
        self.run = self.home / "run"
        self._stage, self._repository = stage, repository
        self._box: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._agent: subprocess.Popen[bytes] | None = None

    @property
    def on(self) -> bool:
        """Neither a reset nor a pulled plug has ended its life."""
        return self._box is not None and self._box.poll() is None

    def boot(self) -> None:
        """On, with everything that starts by itself. A reset leaves ruins behind, which go first."""
        if self.name in self._stage.machines:
            self._stage.crash(self.name)
        shutil.rmtree(self.run, ignore_errors=True)
        (self.home / "deadman.sock").unlink(missing_ok=True)
        self._stage.build(self.name)
        machine = self._stage[self.name]
        # Here a controller's files lie on a disk that has no power to lose, but /run is gone with every reset.
        off = [f"ip link set {nic} down" for nic, _, _ in NETWORKS] + [f"rm -rf {shlex.quote(str(self.run))}"]
        box = [sys.executable, "-m", "reconciler.demo.deadman", str(self.home / "deadman.sock")]
        box += [str(self._repository.shelf), self.name, "sh", "-c", "; ".join(off)]
        self._box = machine.start(box, self.home / "box.log")
        self.write_entrance()

    def start(self) -> None:
        """Start the agent and the watchdog where they have ended."""
        if self._agent is None or self._agent.poll() is not None:
            self._agent = self._hagit("agent")
        if self._watchdog is None or self._watchdog.poll() is not None:
            self._watchdog = self._hagit("watchdog", "--node", str(self._repository.node(self.name)))

    @property
    def powered(self) -> bool:
        """The box has switched it on: daemons may start."""
        return self.on and (self.home / "deadman.sock").exists()

    def cut(self) -> None:
        """Off at once: cables, processes, memory."""
        self._stage.crash(self.name)

    def kill(self) -> None:
        """SIGKILL to the watchdog."""
        assert self._watchdog is not None
        self._watchdog.kill()
        self._watchdog.wait()

    def signal(self, number: int) -> None:
        """A signal to the watchdog."""
        assert self._watchdog is not None
        self._watchdog.send_signal(number)

    def pause(self) -> None:
        """The watchdog does not run any more; it does not know."""
        self.signal(signal.SIGSTOP)

    def wake(self) -> None:
        """It runs again."""
        self.signal(signal.SIGCONT)

    def status(self) -> WatchdogStatus | None:
        """What the running watchdog published last."""
        try:
            status = watchdog_from_document(json.loads((self.run / "watchdog.json").read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        running = self._watchdog is not None and self._watchdog.poll() is None
        known = isinstance(status, WatchdogStatus) and self._watchdog is not None and status.pid == self._watchdog.pid
        return status if running and known and isinstance(status, WatchdogStatus) else None

    @property
    def phase(self) -> str:
        """The phase of the running watchdog; empty before it has said."""
        status = self.status()
        return "" if status is None else status.phase

    def reasons(self) -> dict[str, str]:
        """What the running watchdog complains of: code and text."""
        status = self.status()
        return {} if status is None else {reason.code: reason.text for reason in status.reasons}

    def reset_because(self) -> str:
        """What ended the last life, in the words of its box."""
        return (self.home / "box.log").read_text().rpartition("reset: ")[2].strip()

    def write_entrance(self) -> None:
        """A command that enters this controller as it is now; its namespaces are others after every boot."""
        write_entrance(self._stage, self._repository, self.name)

    def _hagit(self, *arguments: str) -> subprocess.Popen[bytes]:
        environment = f"HAGIT_NODE={self._repository.node(self.name)}"
        command = ["env", environment, sys.executable, "-m", "reconciler.cli.entry", *arguments]
        return self._stage[self.name].start(command, self.home / f"{arguments[0]}.log")


def write_entrance(stage: Stage, repository: Repository, name: str) -> Path:
    """`on-NAME COMMAND...` runs a command on a machine of the stage; without one, a shell."""
    path = repository.root / f"on-{name}"
    bin_directory = Path(sys.executable).parent
    node = f"export HAGIT_NODE={shlex.quote(str(repository.node(name)))}\n" if name in CONTROLLERS else ""
    enter = shlex.join(stage[name].enter(["PLACE"])).removesuffix("PLACE")
    text = (
        f"#!/bin/sh\nexport PATH={shlex.quote(str(bin_directory))}:$PATH\n{node}"
        f'[ $# -gt 0 ] || set -- bash\nexec {enter}"$@"\n'
    )
    made = path.with_name(path.name + ".new")
    made.write_text(text)
    made.chmod(0o755)
    made.replace(path)
    return path
