"""The first half of the demonstration: the first minutes of an operator with a pair.

Commit, plan, apply, break something, get the alert, see it healed, make a mistake, roll back.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

from reconciler.demo.narration import Narrator

CONTROLLERS: Final = ("a", "b")


class ConfigurationStory(Narrator):
    """The steps that configure the pair, in order."""

    def run(self) -> None:
        """Run every step."""
        self._prepare()
        self._plan()
        self._apply()
        self._change()
        self._break()
        self._err()
        self._roll_back()

    def _prepare(self) -> None:
        self.step(
            "A pair",
            "Three machines, each a set of namespaces: controllers a and b, and a client between them. The desired "
            "state of the pair is one YAML file in a git repository; its first commit is signed by the operator.",
        )
        self.repository.make()
        client = self.testbed["client"]
        receiver = [sys.executable, "-m", "reconciler.demo.alert_receiver", "10.77.0.1", "8080"]
        receiver += [str(self.repository.secret), str(self.alert_log)]
        client.start(receiver, self.repository.root / "receiver.log")
        self.show(self.repository.file.read_text().split("---")[2].strip())

    def _plan(self) -> None:
        self.step("hagit plan, on controller a", "Nothing is changed yet. Each line says why, and who asks for it.")
        self.show(self.hagit("a", "plan"))

    def _apply(self) -> None:
        self.step("hagit agent, on both", "The agents follow the repository and make the kernel what it says.")
        began_s = time.monotonic()
        for controller in CONTROLLERS:
            machine = self.testbed[controller]
            agent = ["env", f"HAGIT_NODE={self.repository.node(controller)}", sys.executable, "-m"]
            machine.start([*agent, "reconciler.cli.entry", "agent"], self.repository.root / controller / "agent.log")
        head = self.newest_commit()
        for controller in CONTROLLERS:
            self.wait_until(f"{controller} to apply {head}", self._has_applied(controller, head))
        self.note(f"applied on both {time.monotonic() - began_s:.1f} s after the agents were started")
        for address in ("10.77.1.11", "10.77.1.12"):
            self.testbed["client"].run("ping", "-q", "-c", "1", "-W", "2", address)
            self.note(f"the client reaches {address}")
        self.show(self.testbed["a"].run("sh", "-c", "ip link show data0 2>/dev/null"))

    def _change(self) -> None:
        self.step("A commit", "Jumbo frames on the data network: edit, commit, and both controllers follow.")
        self.repository.replace("10.77.1.12/24}\n", "10.77.1.12/24}\n  mtu: 9000\n")
        head = self.repository.commit("Jumbo frames on the data network")
        began_s = time.monotonic()
        for controller in CONTROLLERS:
            self.wait_until(f"{controller} to apply {head}", self._has_mtu(controller, 9000))
        self.note(f"{head} is the kernel's state on both {1000 * (time.monotonic() - began_s):.0f} ms after the commit")
        for controller in CONTROLLERS:
            self.wait_until(f"{controller} to keep {head}", self._has_kept(controller, head))
        self.note("and it stays: every host that answered before, on each network, still does")

    def _break(self) -> None:
        self.step("Drift", "An operator deletes an address by hand on controller a.")
        began_s = time.time()
        self.testbed["a"].run("ip", "address", "del", "10.77.1.11/24", "dev", "data0")
        self.wait_until("the address to be back", lambda: "10.77.1.11/24" in self.testbed["a"].run("ip", "address"))
        back_s = time.time()
        self.wait_until("the alert", lambda: self.alert("10.77.1.11", began_s) is not None)
        received = self.alert("10.77.1.11", began_s)
        assert received is not None
        alert = received["event"]["data"]
        self.note(f"the client's webhook received a signed alert {1000 * (received['at_s'] - began_s):.0f} ms later:")
        for name in ("summary", "desired", "origin", "commit", "author", "signer", "remedy"):
            self.note(f"  {name:<9} {alert.get(name) or '-'}")
        self.note(f"and the address was back {1000 * (back_s - began_s):.0f} ms after it was deleted")

    def _err(self) -> None:
        self.step("A mistake", "A commit with two defects. It is refused; what was good stays in force.")
        self.repository.replace("mtu: 9000", "mtu: 90000")
        self.repository.replace("address: 10.77.1.12/24", "address: 10.77.1.12")
        head = self.repository.commit("Renumber the data network")
        self.show(self.hagit("a", "validate", str(self.repository.path), check=False))
        self.wait_until("the refusal", lambda: self.agent("a").get("refusal") is not None)
        self.show(self.hagit("a", "status"))
        self.repository.replace("mtu: 90000", "mtu: 9000")
        self.repository.replace("address: 10.77.1.12}", "address: 10.77.1.12/24}")
        corrected = self.repository.commit("Correct the addresses")
        for controller in CONTROLLERS:
            self.wait_until(f"{controller} to keep {corrected}", self._has_kept(controller, corrected))
        self.note(f"{head} was corrected by {corrected}: a refused commit never blocks the next one")

    def _roll_back(self) -> None:
        self.step("hagit rollback", "A commit that is right in form and wrong in fact: the data network gets MTU 1400.")
        self.repository.replace("mtu: 9000", "mtu: 1400")
        head = self.repository.commit("Smaller frames")
        for controller in CONTROLLERS:
            self.wait_until(f"{controller} to keep {head}", self._has_kept(controller, head))
        for controller in CONTROLLERS:
            output = self.hagit(controller, "rollback", "--yes")
            if controller == "a":
                self.show(output)
        for controller in CONTROLLERS:
            self.wait_until(f"{controller} to be back", self._has_mtu(controller, 9000))
        self.note(f"both are back, and {head} stays blocked until another commit comes")
        self.show(self.hagit("a", "history"))

    def _has_applied(self, controller: str, commit: str) -> Callable[[], bool]:
        return lambda: self.applied(controller) == commit

    def _has_kept(self, controller: str, commit: str) -> Callable[[], bool]:
        return lambda: self.applied(controller) == commit and self.agent(controller).get("change") is None

    def _has_mtu(self, controller: str, size: int) -> Callable[[], bool]:
        return lambda: self._mtu(controller) == size

    def _mtu(self, controller: str) -> int:
        return int(self.testbed[controller].run("cat", "/sys/class/net/data0/mtu"))
