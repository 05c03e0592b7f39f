"""The stage of the demonstration: three machines that are namespaces of this one, and the cables between them.

    controller a ── mgmt0 ──┐                  ┌── mgmt0 ── controller b
                 ── data0 ──┤ client (bridges) ├── data0 ──
                 ── link0 ──────────────────────── link0 ──

Each machine has its own network, host name and mounts (namespaces(7)), held open by a process that sleeps. Ending
those processes removes everything; nothing is named in the file system.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final

MACHINES: Final = ("a", "b", "client")
COMMAND_S: Final = 30.0

#: Says that it is ready, then holds the namespaces open until its standard input is closed: so it cannot outlive
#: the demonstration, however that ends.
_HOLDER: Final = "mount -t sysfs sysfs /sys; ip link set lo up; echo ready; exec cat >/dev/null"


@dataclass(slots=True)
class Machine:
    """One machine: the process that holds its namespaces open."""

    name: str
    holder: subprocess.Popen[bytes]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def enter(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` on this machine (nsenter(1))."""
        return ["nsenter", f"--target={self.holder.pid}", "--net", "--uts", "--mount", "--", *command]

    def run(self, *command: str, check: bool = True, env: dict[str, str] | None = None) -> str:
        """Run a command on this machine to its end; returns what it printed on both outputs."""
        done = subprocess.run(
            self.enter(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_S,
            env=env,
            check=False,
        )
        text = done.stdout.decode(errors="replace")
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)} on {self.name} ended with {done.returncode}:\n{text}")
        return text

    def start(self, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a command on this machine that goes on until the stage is left; its output goes to `log`."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.enter(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        self.started.append(process)
        return process


class Stage:
    """Builds the machines and cables, and takes them away again."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}

    def __enter__(self) -> Stage:
        try:
            for name in MACHINES:
                self.machines[name] = _machine(name)
            self._connect()
        except BaseException:
            self.close()
            raise
        return self

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process of the stage, each by its own id; the namespaces go with them."""
        for machine in self.machines.values():
            for process in machine.started:
                process.terminate()
        for machine in self.machines.values():
            for process in machine.started:
                _end(process)
            _end(machine.holder)

    def _connect(self) -> None:
        client = self["client"]
        for bridge, address in (("lan", "10.77.0.1/24"), ("san", "10.77.1.1/24")):
            client.run("ip", "link", "add", bridge, "type", "bridge")
            client.run("ip", "address", "add", address, "dev", bridge)
            client.run("ip", "link", "set", bridge, "up")
        for letter, name in enumerate(("a", "b"), start=10):
            for number, (nic, bridge) in enumerate((("mgmt0", "lan"), ("data0", "san"))):
                port = f"{name}-{nic}"
                self._cable(name, nic, f"02:00:00:00:{letter:x}{letter:x}:{number:02x}", "client", port)
                client.run("ip", "link", "set", port, "master", bridge, "up")
        self._cable("a", "link0", "02:00:00:00:aa:02", "b", "link0", far_mac="02:00:00:00:bb:02")

    def _cable(self, near: str, nic: str, mac: str, far: str, port: str, far_mac: str = "") -> None:
        """One veth pair from machine to machine; the MAC is what the configuration matches."""
        peer = ["address", far_mac] if far_mac else []
        far_end = ["netns", str(self[far].holder.pid)]
        command = ["ip", "link", "add", nic, "address", mac, "type", "veth", "peer", "name", port, *peer, *far_end]
        self[near].run(*command)


def _machine(name: str) -> Machine:
    command = ["unshare", "--net", "--uts", "--mount", "--propagation=private", "sh", "-c", _HOLDER]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert holder.stdout is not None
    if holder.stdout.readline() != b"ready\n":
        raise RuntimeError(f"this kernel gives no namespaces for machine {name} (unshare ended)")
    return Machine(name, holder)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(timeout=3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def become_root_of_a_namespace() -> None:
    """Without root, go on as root of a new user namespace (user_namespaces(7)), where the kernel allows that."""
    if os.geteuid() == 0:
        return
    probe = subprocess.run(["unshare", "--user", "--map-root-user", "true"], check=False, capture_output=True)
    if probe.returncode:
        sys.exit("demo: this needs root, because the kernel gives no user namespaces to others: run `sudo make demo`")
    wrapped = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--mount-proc"]
    os.execvp("unshare", [*wrapped, sys.executable, "-m", "reconciler.demo", *sys.argv[1:]])
