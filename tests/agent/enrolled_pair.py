"""Two controllers with a cable between them, one repository, an enrolment, and watchdogs of a simulated world."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reconciler.agent.rollout_record import own_state
from reconciler.agent.store import Store
from reconciler.core.rollout.rollout_state import RolloutState
from reconciler.system.node import load_node
from reconciler.system.peer.identity import write_identity
from tests.cli.simulated_pair import SimulatedPair
from tests.controller import PAIR, Controller, controller_at, interface
from tests.system.peer.identities import two_identities
from tests.wait import until

CABLE = {"a": "10.99.0.1", "b": "10.99.0.2"}
#: An interface that serves clients, and one that does not.
CRITICAL = interface("e0", "10.0.0.1/24", virtual="10.0.0.9/24").rstrip() + "\n  critical: true\n  failoverGroup: 1\n"
PLAIN = interface("e1", "10.1.0.1/24")


class EnrolledPair:
    """Both controllers; `watchdogs` is None on a pair without failover."""

    def __init__(self, a: Controller, b: Controller, watchdogs: SimulatedPair | None) -> None:
        self.a, self.b, self.watchdogs = a, b, watchdogs

    def of(self, side: str) -> Controller:
        """A controller by its letter."""
        return self.a if side == "a" else self.b

    def commit(self, text: str, name: str = "Change the pair") -> str:
        """Commit the network of the pair."""
        return str(self.a.work.commit(name, pair__yaml=PAIR, network__yaml=text))

    def state(self, side: str) -> RolloutState:
        """What a controller tells the other."""
        controller = self.of(side)
        return controller.inside(lambda: own_state(load_node(controller.node), Store(controller.state)))

    def active(self) -> str:
        """The letter of the active controller; empty or two letters while the roles change."""
        return "".join(side for side in "ab" if self.state(side).role == "active")

    def standby(self) -> str:
        """The same of the standby."""
        return "".join(side for side in "ab" if self.state(side).role == "standby")

    def start(self) -> None:
        """Start both agents."""
        for side in "ab":
            self.of(side).start_agent()

    def until_both(self, commit: str) -> None:
        """Wait until a commit is in force on both, and confirmed."""
        until(lambda: all(self.of(side).in_force() == commit for side in "ab"), self.told, 60.0)
        until(lambda: not any(self.state(side).begun for side in "ab"), self.told, 60.0)

    def told(self) -> Any:
        """What both know, for a test that fails."""
        decisions = {side: self.of(side).lines("decisions.jsonl")[-6:] for side in "ab"}
        return {side: (self.state(side), self.of(side).logs()) for side in "ab"}, decisions

    def applied_order(self, commit: str) -> list[tuple[str, str]]:
        """Who applied a commit, and who asked for a switchover, in the order of the clock."""
        found = [
            (line["at_s"], side, line["decision"])
            for side in "ab"
            for line in self.of(side).lines("decisions.jsonl")
            if line["decision"] in ("applied", "applied-in-part", "apply-failed", "switchover")
            and line["revision"].endswith(commit)
        ]
        return [(side, decision) for _, side, decision in sorted(found)]


def write_nodes(root: Path, a: Controller, b: Controller, *, watched: bool) -> None:
    """Node files that name the cable and the simulated watchdog, and an identity for each."""
    identities = dict(zip("ab", two_identities(), strict=True))
    for side, controller in (("a", a), ("b", b)):
        run = root / "watchdogs" / side / "run"
        (controller.root / "secret").write_text("the same secret of the pair on both controllers")
        (controller.root / "secret").chmod(0o600)
        watchdog = f"secret = 'secret'\nshelf = 'simulated:/nowhere'\nrun = '{run}'\ndeadman = false" if watched else ""
        controller.write_node(watchdog=watchdog)
        other = "b" if side == "a" else "a"
        with controller.node.open("a") as file:
            file.write(f"[peer]\naddresses = ['{CABLE[other]}']\nlisten = ['{CABLE[side]}']\n")
        write_identity(load_node(controller.node), identities[side])


@contextlib.contextmanager
def enrolled_pair(root: Path, *, watched: bool = True, text: str = CRITICAL + PLAIN) -> Iterator[EnrolledPair]:
    """A pair on which `text` is committed and no agent runs yet; a is active when it is watched."""
    with contextlib.ExitStack() as stack:
        a = stack.enter_context(controller_at(root / "a"))
        b = dataclasses.replace(stack.enter_context(controller_at(root / "b")), work=a.work, letter="b")
        a.ip(f"link add cross type veth peer name cross netns {b.machine.holder.pid}")
        for side, controller in (("a", a), ("b", b)):
            controller.ip("link set cross up", f"address add {CABLE[side]}/30 dev cross")
        watchdogs = SimulatedPair(root / "watchdogs") if watched else None
        if watchdogs is not None:
            stack.callback(watchdogs.close)
        write_nodes(root, a, b, watched=watched)
        pair = EnrolledPair(a, b, watchdogs)
        pair.commit(text, "Describe the network")
        yield pair


__all__ = ["CRITICAL", "PLAIN", "EnrolledPair", "enrolled_pair"]
