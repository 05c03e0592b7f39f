"""The demonstration: what a person would do in the first minutes, done for real on a pair of namespaces.

Commit, plan, apply, break something, get the alert, see it healed, make a mistake, roll back.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from reconciler.cli.terminal import paint, wants_color
from reconciler.demo.files import Repository
from reconciler.demo.stage import Stage

PATIENCE_S: Final = 15.0
TICK_S: Final = 0.005
CONTROLLERS: Final = ("a", "b")


class Story:
    """Tells and does each step."""

    def __init__(self, stage: Stage, repository: Repository) -> None:
        self.stage = stage
        self.repository = repository
        self.heard = repository.root / "alerts.jsonl"
        self._number = 0

    def tell(self) -> None:
        """All of it."""
        self._prepare()
        self._plan()
        self._apply()
        self._change()
        self._break()
        self._err()
        self._roll_back()
        self._say("That was it", "Everything above ran on this machine's own kernel, in namespaces that are gone now.")

    def hagit(self, controller: str, *arguments: str, check: bool = True) -> str:
        """Run the command on a controller."""
        environment = {**os.environ, "HAGIT_NODE": str(self.repository.node(controller))}
        if wants_color():
            # Its output is a pipe here, yet it ends on this screen.
            environment["FORCE_COLOR"] = "1"
        command = [sys.executable, "-m", "reconciler.cli.entry", *arguments]
        return self.stage[controller].run(*command, check=check, env=environment)

    def _prepare(self) -> None:
        self._say(
            "A pair",
            "Three machines, each a set of namespaces: controllers a and b, and a client between them. The desired "
            "state of the pair is one YAML file in a git repository; its first commit is signed by the operator.",
        )
        self.repository.make()
        client = self.stage["client"]
        receiver = [sys.executable, "-m", "reconciler.demo.receiver", "10.77.0.1", "8080"]
        receiver += [str(self.repository.secret), str(self.heard)]
        client.start(receiver, self.repository.root / "receiver.log")
        print(_indented(self.repository.file.read_text().split("---")[2].strip()))

    def _plan(self) -> None:
        self._say("hagit plan, on controller a", "Nothing is changed yet. Each line says why, and who asks for it.")
        print(_indented(self.hagit("a", "plan")))

    def _apply(self) -> None:
        self._say("hagit agent, on both", "The agents follow the repository and make the kernel what it says.")
        began_s = time.monotonic()
        for controller in CONTROLLERS:
            machine = self.stage[controller]
            agent = ["env", f"HAGIT_NODE={self.repository.node(controller)}", sys.executable, "-m"]
            machine.start([*agent, "reconciler.cli.entry", "agent"], self.repository.root / controller / "agent.log")
        head = self._head()
        for controller in CONTROLLERS:
            self._wait(f"{controller} to apply {head}", self._has_applied(controller, head))
        print(f"    applied on both {time.monotonic() - began_s:.1f} s after the agents were started")
        for address in ("10.77.1.11", "10.77.1.12"):
            self.stage["client"].run("ping", "-q", "-c", "1", "-W", "2", address)
            print(f"    the client reaches {address}")
        print(_indented(self.stage["a"].run("sh", "-c", "ip link show data0 2>/dev/null")))

    def _change(self) -> None:
        self._say("A commit", "Jumbo frames on the data network: edit, commit, and both controllers follow.")
        self.repository.replace("  failoverGroup: 1\n", "  failoverGroup: 1\n  mtu: 9000\n")
        head = self.repository.commit("Jumbo frames on the data network")
        began_s = time.monotonic()
        for controller in CONTROLLERS:
            self._wait(f"{controller} to apply {head}", self._has_mtu(controller, 9000))
        print(f"    {head} is the kernel's state on both {1000 * (time.monotonic() - began_s):.0f} ms after the commit")
        for controller in CONTROLLERS:
            self._wait(f"{controller} to record {head}", self._has_applied(controller, head))

    def _break(self) -> None:
        self._say("Drift", "Somebody deletes an address by hand on controller a.")
        began_s = time.time()
        self.stage["a"].run("ip", "address", "del", "10.77.1.11/24", "dev", "data0")
        self._wait("the address to be back", lambda: "10.77.1.11/24" in self.stage["a"].run("ip", "address"))
        back_s = time.time()
        self._wait("the alert", lambda: self._alert("10.77.1.11", began_s) is not None)
        heard = self._alert("10.77.1.11", began_s)
        assert heard is not None
        alert = heard["event"]["data"]
        print(f"    the client's webhook heard a signed alert {1000 * (heard['at_s'] - began_s):.0f} ms later:")
        for name in ("summary", "desired", "origin", "commit", "author", "signer", "remedy"):
            print(f"      {name:<9} {alert.get(name) or '-'}")
        print(f"    and the address was back {1000 * (back_s - began_s):.0f} ms after it was deleted")

    def _err(self) -> None:
        self._say("A mistake", "A commit with two defects. It is refused; what was good stays in force.")
        self.repository.replace("vhid: 20", "vhid: 2000")
        self.repository.replace("address: 10.77.1.12/24", "address: 10.77.1.12")
        head = self.repository.commit("Renumber the data network")
        print(_indented(self.hagit("a", "validate", str(self.repository.path), check=False)))
        self._wait("the refusal", lambda: self._status("a").get("refusal") is not None)
        print(_indented(self.hagit("a", "status")))
        self.repository.replace("vhid: 2000", "vhid: 20")
        self.repository.replace("address: 10.77.1.12}", "address: 10.77.1.12/24}")
        mended = self.repository.commit("Mend the addresses")
        for controller in CONTROLLERS:
            self._wait(f"{controller} to apply {mended}", self._has_applied(controller, mended))
        print(f"    {head} was mended by {mended}: a refused commit never blocks the next one")

    def _roll_back(self) -> None:
        self._say("hagit rollback", "A commit that is right in form and wrong in fact: the data network gets MTU 1400.")
        self.repository.replace("mtu: 9000", "mtu: 1400")
        head = self.repository.commit("Smaller frames")
        for controller in CONTROLLERS:
            self._wait(f"{controller} to apply {head}", self._has_applied(controller, head))
        for controller in CONTROLLERS:
            output = self.hagit(controller, "rollback", "--yes")
            if controller == "a":
                print(_indented(output))
        for controller in CONTROLLERS:
            self._wait(f"{controller} to be back", self._has_mtu(controller, 9000))
        print(f"    both are back, and {head} stays blocked until another commit comes")
        print(_indented(self.hagit("a", "history")))

    def _say(self, title: str, text: str) -> None:
        self._number += 1
        print(f"\n{paint(f'{self._number}. {title}', 1, 36)}")
        print(textwrap.fill(text, 100, initial_indent="   ", subsequent_indent="   ") + "\n", flush=True)

    def _wait(self, what: str, condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline_s:
                logs = "".join(f"\n--- {path}\n{path.read_text()}" for path in self.repository.root.glob("*/agent.log"))
                raise RuntimeError(f"waited {PATIENCE_S:.0f} s in vain for {what}{logs}")
            time.sleep(TICK_S)

    def _has_applied(self, controller: str, commit: str) -> Callable[[], bool]:
        return lambda: self._applied(controller) == commit

    def _has_mtu(self, controller: str, size: int) -> Callable[[], bool]:
        return lambda: self._mtu(controller) == size

    def _head(self) -> str:
        return Path(self.repository.path / ".git/refs/heads/main").read_text()[:7]

    def _status(self, controller: str) -> dict[str, Any]:
        path = self.repository.root / controller / "state/status.json"
        document: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return document

    def _applied(self, controller: str) -> str:
        return ((self._status(controller).get("applied") or {}).get("commit") or "")[:7]

    def _mtu(self, controller: str) -> int:
        return int(self.stage[controller].run("cat", "/sys/class/net/data0/mtu"))

    def _alert(self, text: str, since_s: float) -> dict[str, Any] | None:
        if not self.heard.exists():
            return None
        for line in self.heard.read_text().splitlines():
            heard: dict[str, Any] = json.loads(line)
            data = heard["event"]["data"]
            if heard["at_s"] >= since_s and text in data["summary"] and data["status"] == "firing":
                return heard
        return None


def _indented(text: str) -> str:
    return textwrap.indent(text.rstrip(), "    ")


def hint(stage: Stage, repository: Repository) -> str:
    """How to go on by hand from another terminal."""
    lines = ["The pair goes on until you press Ctrl-C. From another terminal:", ""]
    user = "" if os.environ.get("HAGIT_DEMO_USER") is None else "--user --preserve-credentials "
    for name, machine in stage.machines.items():
        lines.append(f"  {name + ':':<8} nsenter --target {machine.holder.pid} {user}--net --uts --mount bash")
    lines += ["", f"  export PATH={Path(sys.executable).parent}:$PATH"]
    lines += [f"  export HAGIT_NODE={repository.node('a')}    # on a; the node file of b stands beside it"]
    lines += ["  hagit status; ip address; hagit drift", "", f"  git -C {repository.path} log    # what both follow"]
    return "\n".join(lines)
