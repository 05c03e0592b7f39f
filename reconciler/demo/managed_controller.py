"""A controller of the demonstration: its power switch, its daemons, and the status of its watchdog.

A controller that is on has a simulated deadman (`demo/deadman`; for the shelf this process is the machine), a watchdog
and an agent. A power loss kills every process in its namespaces and so ends these; a boot makes new ones. Makes no
decision about the pair.
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
from reconciler.demo.testbed import CONTROLLERS, NETWORKS, Testbed
from reconciler.simulation.timed.world import Physics

PHYSICS: Final = Physics()
WRITE_MS: Final = 50


def start_shelf(testbed: Testbed, repository: Repository) -> None:
    """Start the simulated shelf, as slow as the one of `hagit rehearse`, so that both can be compared."""
    command = [sys.executable, "-m", "reconciler.demo.shelf_server", str(repository.shelf), "--disks", ",".join(DISKS)]
    for name, (low, high) in (
        ("command", PHYSICS.command_ms),
        ("import", PHYSICS.import_ms),
        ("export", PHYSICS.export_ms),
    ):
        command += [f"--{name}-ms", f"{low}-{high}"]
    command += ["--vdev", f"tank/mirror-0:1:{','.join(DISKS[:2])}", "--vdev", f"tank/mirror-1:1:{','.join(DISKS[2:])}"]
    # SAS cables are no network: the shelf runs on the client, whose power is never cut.
    testbed["client"].start([*command, "--write-ms", str(WRITE_MS)], repository.root / "shelf.log")


class ManagedController:
    """One controller, on or off."""

    def __init__(self, name: str, testbed: Testbed, repository: Repository) -> None:
        self.name = name
        self.home = repository.root / name
        self.run = self.home / "run"
        self._testbed, self._repository = testbed, repository
        self._deadman: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._agent: subprocess.Popen[bytes] | None = None

    @property
    def on(self) -> bool:
        """Whether it is on: no reset and no power loss has ended it."""
        return self._deadman is not None and self._deadman.poll() is None

    def switch_on(self) -> None:
        """Build its namespaces and start its deadman. Removes the remains of an earlier life first."""
        if self.name in self._testbed.machines:
            self._testbed.cut_power(self.name)
        shutil.rmtree(self.run, ignore_errors=True)
        (self.home / "deadman.sock").unlink(missing_ok=True)
        self._testbed.build(self.name)
        machine = self._testbed[self.name]
        # The files of a controller survive a reset here, but a reset clears /run.
        off = [f"ip link set {nic} down" for nic, _, _ in NETWORKS] + [f"rm -rf {shlex.quote(str(self.run))}"]
        command = [sys.executable, "-m", "reconciler.demo.deadman", str(self.home / "deadman.sock")]
        command += [str(self._repository.shelf), self.name, "sh", "-c", "; ".join(off)]
        self._deadman = machine.start(command, self.home / "deadman.log")
        self.write_enter_script()

    def start(self) -> None:
        """Start the agent and the watchdog unless they run."""
        if self._agent is None or self._agent.poll() is not None:
            self._agent = self._hagit("agent")
        if self._watchdog is None or self._watchdog.poll() is not None:
            self._watchdog = self._hagit("watchdog", "--node", str(self._repository.node(self.name)))

    @property
    def powered(self) -> bool:
        """Whether its deadman has switched it on, so that daemons may start."""
        return self.on and (self.home / "deadman.sock").exists()

    def cut_power(self) -> None:
        """Switch it off at once: cables, processes, memory."""
        self._testbed.cut_power(self.name)

    def kill_watchdog(self) -> None:
        """Send SIGKILL to the watchdog and wait for its end."""
        assert self._watchdog is not None
        self._watchdog.kill()
        self._watchdog.wait()

    def _signal_watchdog(self, number: int) -> None:
        assert self._watchdog is not None
        self._watchdog.send_signal(number)

    def pause_watchdog(self) -> None:
        """Stop the watchdog (SIGSTOP)."""
        self._signal_watchdog(signal.SIGSTOP)

    def resume_watchdog(self) -> None:
        """Let the watchdog run again (SIGCONT)."""
        self._signal_watchdog(signal.SIGCONT)

    def status(self) -> WatchdogStatus | None:
        """The status that the running watchdog published last; None without one."""
        try:
            status = watchdog_from_document(json.loads((self.run / "watchdog.json").read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        running = self._watchdog is not None and self._watchdog.poll() is None
        known = isinstance(status, WatchdogStatus) and self._watchdog is not None and status.pid == self._watchdog.pid
        return status if running and known and isinstance(status, WatchdogStatus) else None

    @property
    def phase(self) -> str:
        """The phase of the running watchdog; empty before its first status."""
        status = self.status()
        return "" if status is None else status.phase

    def reasons(self) -> dict[str, str]:
        """The reasons that the running watchdog gives: code and text."""
        status = self.status()
        return {} if status is None else {reason.code: reason.text for reason in status.reasons}

    def reset_reason(self) -> str:
        """Why the deadman ended the last life."""
        return (self.home / "deadman.log").read_text().rpartition("reset: ")[2].strip()

    def write_enter_script(self) -> None:
        """Write the script that enters this controller; every boot makes new namespaces."""
        write_enter_script(self._testbed, self._repository, self.name)

    def _hagit(self, *arguments: str) -> subprocess.Popen[bytes]:
        environment = f"HAGIT_NODE={self._repository.node(self.name)}"
        command = ["env", environment, sys.executable, "-m", "reconciler.cli.entry", *arguments]
        return self._testbed[self.name].start(command, self.home / f"{arguments[0]}.log")


def write_enter_script(testbed: Testbed, repository: Repository, name: str) -> Path:
    """Write the script `on-NAME COMMAND...`, which runs a command (else a shell) on a machine; return its path."""
    path = repository.root / f"on-{name}"
    bin_directory = Path(sys.executable).parent
    node = f"export HAGIT_NODE={shlex.quote(str(repository.node(name)))}\n" if name in CONTROLLERS else ""
    enter = shlex.join(testbed[name].enter(["PLACE"])).removesuffix("PLACE")
    text = (
        f"#!/bin/sh\nexport PATH={shlex.quote(str(bin_directory))}:$PATH\n{node}"
        f'[ $# -gt 0 ] || set -- bash\nexec {enter}"$@"\n'
    )
    made = path.with_name(path.name + ".new")
    made.write_text(text)
    made.chmod(0o755)
    made.replace(path)
    return path
