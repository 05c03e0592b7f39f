"""One controller for a test: a machine that is namespaces of this one, a repository, a node file, the real commands."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler.demo.testbed import Machine
from reconciler.system.files import read_lines
from tests.system.repositories import Work
from tests.wait import DEADLINE_S, Result, until

ROOT = Path(__file__).parent.parent
HOLDER = "mount -t sysfs sysfs /sys; mount -t tmpfs tmpfs /run; ip link set lo up; echo ready; exec cat >/dev/null"
PAIR = """\
apiVersion: hagit/v1
kind: Pair
metadata: {name: shelf}
spec:
  a: {hostname: shelf-a}
  b: {hostname: shelf-b}
"""
_LIBC = ctypes.CDLL(None, use_errno=True)


def interface(
    name: str, address: str = "", *, mtu: int = 0, nic: str = "", virtual: str = "", vhid: int = 20, extra: str = ""
) -> str:
    """YAML of an interface of controller a that matches the NIC of its own name."""
    lines = ["---", "apiVersion: hagit/v1", "kind: Interface", f"metadata: {{name: {name}}}", "spec:"]
    halves = [f"match: {{name: {nic or name}}}"] if not extra else []
    for half, last in (("a", ""), ("b", "1")):
        parts = list(halves)
        if address:
            host, _, prefix = address.partition("/")
            parts.append(f'address: "{host}{last}/{prefix}"')
        if parts:
            lines.append(f"  {half}: {{{', '.join(parts)}}}")
    if mtu:
        lines.append(f"  mtu: {mtu}")
    if virtual:
        lines.append(f"  virtual: {{address: {virtual}, vhid: {vhid}}}")
    if extra:
        lines.append(f"  {extra}")
    return "\n".join(lines) + "\n"


def resource(kind: str, name: str, spec: str) -> str:
    """YAML of any other resource; `spec` in flow style."""
    return f"---\napiVersion: hagit/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """What it printed, as a document."""
        return json.loads(self.out)


@dataclass(slots=True)
class Agent:
    """A running `hagit agent`."""

    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.terminate()
        return self.process.wait(DEADLINE_S)


@dataclass(slots=True)
class Controller:
    """Controller a in namespaces of its own. `root` holds node file, state, names and the repository."""

    root: Path
    machine: Machine
    work: Work
    agents: list[Agent] = field(default_factory=list)
    letter: str = "a"

    @property
    def node(self) -> Path:
        """The node file."""
        return self.root / "node.toml"

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.root / "state"

    def write_node(
        self, *, listen: str = "", trust: str = "", source: str = "", state: Path | None = None, watchdog: str = ""
    ) -> None:
        """Write the node file; texts are lines of the tables of these names."""
        source = source or f"remotes = ['{self.work.path}']"
        lines = [f'controller = "{self.letter}"', f"state = '{state or self.state}'"]
        lines += ["listen = false"] if not listen else []
        lines += ["[source]", source, "[files]"]
        lines += [f"hostname = '{self.root / 'hostname'}'", f"resolver = '{self.root / 'resolv.conf'}'"]
        lines += ["[trust]", trust or "unsigned = 'accept-without-warning'"]
        lines += ["[listen]", listen] if listen else []
        lines += ["[watchdog]", watchdog] if watchdog else []
        self.node.write_text("\n".join(lines) + "\n")

    @property
    def environment(self) -> dict[str, str]:
        """Of every command: nothing of the person who runs the tests."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "HAGIT_NODE": str(self.node),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "COLUMNS": "100",
        }

    def argv(self, *arguments: str) -> list[str]:
        """The command line of `hagit` on this controller."""
        return self.machine.enter([sys.executable, "-m", "reconciler.cli.entry", *arguments])

    def hagit(self, *arguments: str, stdin: str | None = None, **environment: str) -> Done:
        """Run a command to its end."""
        done = subprocess.run(
            self.argv(*arguments),
            cwd=ROOT,
            env=self.environment | environment,
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def apply(self) -> Done:
        """`hagit apply --yes`, which has to go well."""
        done = self.hagit("apply", "--yes")
        assert done.code == 0, done
        return done

    def start_agent(self, *arguments: str, **environment: str) -> Agent:
        """Start the agent; ended with the test."""
        log = self.root / f"agent{len(self.agents)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.argv("agent", *arguments),
                cwd=ROOT,
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.agents.append(Agent(process, log))
        return self.agents[-1]

    def ip(self, *commands: str) -> None:
        """Commands of ip(8) on this controller, all in one process."""
        subprocess.run(
            self.machine.enter(["ip", "-batch", "-"]),
            input="\n".join(commands),
            text=True,
            check=True,
            timeout=DEADLINE_S,
        )

    def show(self, *arguments: str) -> Any:
        """What `ip -j` says."""
        return json.loads(self.machine.run("ip", "-j", *arguments) or "[]")

    def addresses(self, link: str = "") -> set[str]:
        """Every address of this controller, or of one link, without loopback and the kernel's own."""
        return {
            f"{one['local']}/{one['prefixlen']}"
            for entry in self.show("address")
            if entry["ifname"] != "lo" and link in ("", entry["ifname"])
            for one in entry["addr_info"]
            if not one["local"].startswith("fe80")
        }

    def mtu(self, link: str) -> int:
        """The MTU of a link."""
        return int(self.show("link", "show", link)[0]["mtu"])

    def status(self) -> dict[str, Any]:
        """What the agent published last; empty before."""
        path = self.state / "status.json"
        return json.loads(path.read_bytes()) if path.exists() else {}

    def in_force(self) -> str:
        """The commit that was applied last."""
        path = self.state / "applied.json"
        return json.loads(path.read_bytes())["revision"]["commit"] if path.exists() else ""

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The lines of a journal in the state directory."""
        # A line that is being written is not whole yet, and is passed over.
        return read_lines(self.state / name)

    def alerts(self) -> list[tuple[str, str, str]]:
        """Every alert the agent told so far: kind, status, subject."""
        told = [line["alert"] for line in self.lines("decisions.jsonl") if "alert" in line]
        return [(alert["kind"], alert["status"], alert["subject"]) for alert in told]

    def until_alert(self, kind: str, status: str = "firing", timeout_s: float = DEADLINE_S) -> dict[str, Any]:
        """Wait for an alert."""

        def find() -> list[dict[str, Any]]:
            told = [line["alert"] for line in self.lines("decisions.jsonl") if "alert" in line]
            return [alert for alert in told if (alert["kind"], alert["status"]) == (kind, status)]

        return until(find, lambda: (self.alerts(), self.logs()), timeout_s)[-1]

    def until_applied(self, commit: str) -> None:
        """Wait until a commit is in force."""
        until(lambda: self.in_force() == commit, lambda: (self.in_force(), self.logs(), self.lines("decisions.jsonl")))

    def logs(self) -> str:
        """What the agents said."""
        return "".join(agent.log.read_text() for agent in self.agents)

    def inside(self, function: Callable[[], Result]) -> Result:
        """The result of `function` run in a thread that is on this controller's network and has its host name."""
        return inside(self.machine.holder.pid, ("net", "uts"), function)

    def close(self) -> None:
        """End the agents, and the machine with everything on it."""
        for agent in self.agents:
            if agent.process.poll() is None:
                agent.process.send_signal(signal.SIGTERM)
        for agent in self.agents:
            try:
                agent.process.wait(10)
            except subprocess.TimeoutExpired:
                agent.kill()
        for stream in (self.machine.holder.stdin, self.machine.holder.stdout):
            if stream is not None:
                stream.close()
        self.machine.holder.wait(DEADLINE_S)


def inside(pid: int, kinds: Sequence[str], function: Callable[[], Result]) -> Result:
    """The result of `function` run in a thread that has entered these namespaces of a process."""
    results: list[Result] = []
    problems: list[BaseException] = []

    def run() -> None:
        try:
            for kind in kinds:
                handle = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
                try:
                    if _LIBC.setns(handle, 0):
                        raise OSError(ctypes.get_errno(), "setns")
                finally:
                    os.close(handle)
            results.append(function())
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(DEADLINE_S)
    if problems:
        raise problems[0]
    return results[0]


@contextlib.contextmanager
def controller_at(root: Path, nics: int = 2, text: str = "") -> Iterator[Controller]:
    """A controller with NICs e0, e1, ... that have cables, and a repository with a pair in it (and `text`)."""
    (root / "repository").mkdir(parents=True)
    work = Work(root / "repository")
    work.git("init", "-q", "-b", "main")
    work.commit("Describe the pair", pair__yaml=PAIR + text)
    holder = subprocess.Popen(
        ["unshare", "--net", "--uts", "--mount", "--propagation=private", "sh", "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert holder.stdout is not None
    controller = Controller(root, Machine("a", holder), work)
    try:
        assert holder.stdout.readline() == b"ready\n", "unshare: run the tests as root"
        controller.ip(
            *(f"link add e{n} address 02:00:00:00:0a:{n:02x} type veth peer name e{n}-far" for n in range(nics)),
            *(f"link set e{n}-far addrgenmode none up" for n in range(nics)),
        )
        controller.write_node()
        yield controller
    finally:
        controller.close()


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    """One controller with two NICs."""
    with controller_at(tmp_path / "a") as made:
        yield made


@pytest.fixture
def make_controller(tmp_path: Path) -> Iterator[Callable[..., Controller]]:
    """Makes controllers; the arguments are those of `controller_at`."""
    with contextlib.ExitStack() as stack:
        yield lambda name="a", **how: stack.enter_context(controller_at(tmp_path / name, **how))
