"""The testbed of the demonstration: three machines, each a set of namespaces of this one, and their cables.

    controller a ── mgmt0 ──┐                          ┌── mgmt0 ── controller b
                 ── data0 ──┤ client: bridges lan, san ├── data0 ──
                 ── link0 ──┴──── bridge patch ────────┴── link0 ──

Each machine has its own network, host name and mounts (namespaces(7)), held open by a process that sleeps. The machine
ends with its processes; it leaves nothing in the file system. The client also holds the switches: pull cables there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final

MACHINES: Final = ("a", "b", "client")
CONTROLLERS: Final = ("a", "b")
#: NIC of a controller, the bridge that its cable leads to, and the bridge's own address.
NETWORKS: Final = (("mgmt0", "lan", "10.77.0.1/24"), ("data0", "san", "10.77.1.1/24"), ("link0", "patch", ""))
COMMAND_S: Final = 30.0
#: Environment variable with the process to enter in order to reach the machines, when they are in a user namespace.
OUTER_PID_VARIABLE: Final = "HAGIT_DEMO_OUTSIDE"

#: Prints "ready" and holds the namespaces open until its standard input closes, so it cannot outlive the
#: demonstration.
_HOLDER: Final = "mount -t sysfs sysfs /sys; ip link set lo up; echo ready; exec cat >/dev/null"
#: The kernel kills such a process when the demonstration dies (prctl(2)).
_MORTAL: Final = ("setpriv", "--pdeathsig", "KILL", "--")


@dataclass(slots=True)
class Machine:
    """One machine: the process that holds its namespaces open, and the name of its network namespace (`network`)."""

    name: str
    holder: subprocess.Popen[bytes]
    network: str = ""
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def enter(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` on this machine (nsenter(1))."""
        return ["nsenter", f"--target={self.holder.pid}", "--net", "--uts", "--mount", "--", *command]

    def run(self, *command: str, check: bool = True, env: dict[str, str] | None = None, stdin: str = "") -> str:
        """Run a command on this machine to its end; returns what it printed on both outputs."""
        done = subprocess.run(
            self.enter(command),
            input=stdin.encode(),
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

    def ip(self, *commands: str) -> None:
        """Commands of ip(8), all in one process."""
        self.run("ip", "-batch", "-", stdin="\n".join(commands) + "\n")

    def start(self, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a command on this machine that goes on until the machine ends; its output goes to `log`."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.enter([*_MORTAL, *command]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def start_piped(self, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a command with pipes for its input and output; it ends when its input closes."""
        with log.open("ab") as errors:
            process = subprocess.Popen(
                self.enter([*_MORTAL, *command]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def end(self) -> None:
        """Kill every process of this machine, as a power loss would."""
        while handles := list(self._processes()):
            for handle in handles:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                os.close(handle)
        for process in (*self.started, self.holder):
            process.wait(COMMAND_S)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()

    def _processes(self) -> Iterator[int]:
        """Handles (pidfd_open(2)) of all live processes in the network namespace of this machine."""
        if not self.network:
            return
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or _network(int(entry.name)) != self.network:
                continue
            with contextlib.suppress(OSError):
                handle = os.pidfd_open(int(entry.name))
                # Another process may have got this number meanwhile.
                if _network(int(entry.name)) == self.network:
                    yield handle
                else:
                    os.close(handle)


class Testbed:
    """Builds the machines and cables, and removes them at the end."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}

    def __enter__(self) -> Testbed:
        try:
            client = self.machines["client"] = _machine("client")
            for _, bridge, address in NETWORKS:
                client.ip(f"link add {bridge} type bridge", f"link set {bridge} up")
                if address:
                    client.ip(f"address add {address} dev {bridge}")
            for name in CONTROLLERS:
                self.build(name)
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

    def build(self, name: str) -> None:
        """Build a controller and its cables. The configuration matches its MAC addresses."""
        machine, client = _machine(name), self["client"]
        self.machines[name] = machine
        letter = {"a": "aa", "b": "bb"}[name]
        machine.ip(
            *(
                f"link add {nic} address 02:00:00:00:{letter}:{number:02x} type veth "
                f"peer name {name}-{nic} netns {client.holder.pid}"
                for number, (nic, _, _) in enumerate(NETWORKS)
            )
        )
        client.ip(*(f"link set {name}-{nic} master {bridge} up" for nic, bridge, _ in NETWORKS))

    def cut_power(self, name: str) -> None:
        """Cut the power of a controller: remove its cables and kill its processes."""
        self["client"].ip(*(f"link del {name}-{nic}" for nic, _, _ in NETWORKS))
        self.machines.pop(name).end()

    def close(self) -> None:
        """End every process of the testbed; the namespaces end with them."""
        while self.machines:
            _, machine = self.machines.popitem()
            machine.end()


def _network(pid: int) -> str:
    """The network namespace of a process; empty when it has ended or may not be read (namespaces(7))."""
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


def _machine(name: str) -> Machine:
    command = ["unshare", "--net", "--uts", "--mount", "--propagation=private", "sh", "-c", _HOLDER]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert holder.stdout is not None
    if holder.stdout.readline() != b"ready\n":
        raise RuntimeError(f"this kernel gives no namespaces for machine {name} (unshare ended)")
    return Machine(name, holder, _network(holder.pid))


def enter_user_namespace() -> None:
    """Without root, start again as root of a new user namespace (user_namespaces(7)).

    Exits where the kernel forbids that.
    """
    if os.geteuid() == 0:
        return
    probe = subprocess.run(["unshare", "--user", "--map-root-user", "true"], check=False, capture_output=True)
    if probe.returncode:
        sys.exit("demo: this needs root, because the kernel gives no user namespaces to others: run `sudo make demo`")
    os.environ[OUTER_PID_VARIABLE] = str(os.getpid())
    wrapped = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--mount-proc"]
    os.execvp("unshare", [*wrapped, sys.executable, "-m", "reconciler.demo", *sys.argv[1:]])
