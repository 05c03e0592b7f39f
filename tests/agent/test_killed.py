"""SIGKILL at every point of an apply: run again, it ends at the state of one that was never cut off."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pytest

from reconciler.agent.apply import apply_plan, propose, resume_interrupted
from reconciler.agent.apply_journal import read_interrupted
from reconciler.agent.source.content import Content, compile_content
from reconciler.agent.store import Store
from reconciler.core.facts.fact import Fact, Key, Link, LinkKind
from reconciler.core.facts.network_adapter import NetworkAdapter
from reconciler.core.facts.ownership import Owner
from reconciler.core.facts.state import Observed
from reconciler.core.planning.plan import Action, Plan
from reconciler.core.status.revision import Revision
from reconciler.simulation.fake_network import FakeNetwork
from reconciler.system.netlink.live_network import LiveNetwork
from tests.controller import PAIR, ROOT, Controller, interface, resource
from tests.system.network.conformance import starting_point
from tests.system.network.namespaces import in_namespace, ip, plug_in
from tests.system.network.scenarios import NICS

FIRST = (
    PAIR
    + interface("e0", "10.0.0.1/24", mtu=4000)
    + interface("e1", "10.1.0.1/24")
    + interface("br0", "10.2.0.1/24", extra="bridge: {members: [e2]}")
    + interface("e2")
    + resource("Route", "far", "{destination: 10.90.0.0/16, gateway: 10.0.0.9}")
)
SECOND = (
    PAIR.replace("shelf-a", "shelf-one")
    + interface("e0", "10.0.0.2/24", mtu=3000)
    + interface("e1")
    + interface("e2", "10.1.0.1/24")
    + interface("br1", "10.2.0.1/24", mtu=3500, extra="bridge: {members: [e1]}")
    + resource("Route", "far", "{destination: 10.91.0.0/16, gateway: 10.0.0.9}")
)
REVISIONS = [Revision("main", digit * 40) for digit in "12"]
CONTENTS = [compile_content({"all.yaml": text.encode()}, "a") for text in (FIRST, SECOND)]
Facts: TypeAlias = dict[Key, Fact]


class Killed(BaseException):
    """The simulated process has died. No code catches this."""


@dataclass
class Fatal:
    """A network under a process that dies at the `fatal`-th of the points it passes; `how` is how it dies.

    Four points for each action: before its line in the journal, after it, after it was done, after the look. A link
    is made and stamped by two requests; a fifth point lies between them.
    """

    network: NetworkAdapter
    fatal: int
    how: object
    passed: int = field(default=0)

    def point(self) -> bool:
        self.passed += 1
        return self.passed == self.fatal

    def die(self) -> None:
        assert callable(self.how)
        self.how()

    def progress(self, index: int, total: int, action: Action) -> None:
        if self.point():
            self.die()

    def observe(self) -> Observed:
        return self.network.observe()

    def perform(self, before: Fact | None, after: Fact | None) -> None:
        if self.point():
            self.die()
        if before is None and isinstance(after, Link) and after.kind is LinkKind.BRIDGE and self.point():
            self.make_without_stamp(after)
            self.die()
        self.network.perform(before, after)
        if self.point():
            self.die()

    def make_without_stamp(self, link: Link) -> None:
        if isinstance(self.network, FakeNetwork):
            self.network.by_hand(None, link)
        else:
            ip(f"link add {link.name} type bridge")

    def observe_keys(self, keys: Collection[Key]) -> Mapping[Key, Fact | None]:
        found = self.network.observe_keys(keys)
        if self.point():
            self.die()
        return found


def plan_for(content: Content, revision: Revision, network: NetworkAdapter) -> Plan:
    return propose(content, revision.full_name, network.observe())


def apply(store: Store, network: NetworkAdapter, which: int, fatal: Fatal | None = None) -> Plan:
    plan = plan_for(CONTENTS[which], REVISIONS[which], network)
    outcome = apply_plan(
        store,
        fatal or network,
        plan,
        REVISIONS[which],
        purpose="test",
        record_as="applied",
        progress=fatal.progress if fatal else None,
    )
    assert outcome.complete, outcome.failure
    return plan


def finish(store: Store, network: NetworkAdapter) -> None:
    """What a person does after the crash: `hagit apply`, once."""
    resume_interrupted(store, network)
    apply(store, network, 1)


def end_of(network: NetworkAdapter) -> tuple[Facts, dict[Key, Owner]]:
    """Everything that is to be seen, without what the kernel gives itself when it likes."""
    look = network.observe()
    assert not look.unknown
    own = {key for key, owner in look.owners.items() if key[0] == "address" and owner is Owner.KERNEL}
    facts = {key: fact for key, fact in look.facts.items() if key not in own}
    return facts, {key: owner for key, owner in look.owners.items() if key in facts}


@contextlib.contextmanager
def live(root: Path) -> Iterator[LiveNetwork]:
    """The kernel with the first revision applied; within a namespace of its own."""
    plug_in(*NICS)
    (root / "hostname").write_text("scenario\n")
    with closing(LiveNetwork(root / "hostname", root / "resolv.conf", root=root)) as network:
        yield network


def killed_for_real(store_at: Path, root: Path, fatal: int) -> bool:
    """Run the second apply in a child that dies of SIGKILL at a point; True when it came to that point."""
    child = os.fork()
    if child == 0:
        with closing(LiveNetwork(root / "hostname", root / "resolv.conf", root=root)) as network:
            apply(Store(store_at), network, 1, Fatal(network, fatal, lambda: os.kill(os.getpid(), signal.SIGKILL)))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def ends_of_the_kernel(tmp_path: Path, fatal: int) -> tuple[bool, tuple[Facts, dict[Key, Owner]]]:
    root = tmp_path / str(fatal)
    root.mkdir()

    def run() -> tuple[bool, tuple[Facts, dict[Key, Owner]]]:
        with live(root) as network:
            store = Store(root / "state")
            apply(store, network, 0)
            cut = killed_for_real(store.root, root, fatal)
            finish(store, network)
            assert read_interrupted(store.journal) is None
            assert not plan_for(CONTENTS[1], REVISIONS[1], network).actions
            applied = store.applied()
            assert applied is not None and applied.revision == REVISIONS[1]
            return cut, end_of(network)

    return in_namespace(run)


@pytest.mark.timeout(120)
def test_the_kernel_ends_at_the_same_state_wherever_an_apply_is_killed(tmp_path: Path) -> None:
    cut, expected = ends_of_the_kernel(tmp_path, 0)
    assert not cut
    fatal = 0
    while cut or fatal == 0:
        fatal += 1
        cut, end = ends_of_the_kernel(tmp_path, fatal)
        assert end == expected, f"killed at point {fatal}"
    assert fatal > 60, "the plan has become so short that this tests little"


def killed_in_memory(store: Store, network: FakeNetwork, fatal: int) -> bool:
    def die() -> None:
        raise Killed

    try:
        apply(store, network, 1, Fatal(network, fatal, die))
    except Killed:
        return True
    return False


def ends_of_the_simulation(tmp_path: Path, fatal: int) -> tuple[bool, tuple[Facts, dict[Key, Owner]]]:
    store = Store(tmp_path / str(fatal))
    network = FakeNetwork(starting_point())
    apply(store, network, 0)
    cut = killed_in_memory(store, network, fatal)
    finish(store, network)
    assert not plan_for(CONTENTS[1], REVISIONS[1], network).actions
    return cut, end_of(network)


def test_the_simulation_ends_at_the_same_state_wherever_an_apply_is_killed(tmp_path: Path) -> None:
    cut, expected = ends_of_the_simulation(tmp_path, 0)
    assert not cut
    fatal = 0
    while cut or fatal == 0:
        fatal += 1
        cut, end = ends_of_the_simulation(tmp_path, fatal)
        assert end == expected, f"killed at point {fatal}"
    assert fatal > 60


def test_the_command_itself_is_killed_and_run_again(controller: Controller) -> None:
    count = 250
    listed = ", ".join(f'"10.{number // 200}.{number % 200}.1/24"' for number in range(count))
    many = f"{{a: {{match: {{name: e0}}, addresses: [{listed}]}}, b: {{match: {{name: e0}}}}}}"
    commit = controller.work.commit("Many", net__yaml=resource("Interface", "many", many))
    journal = controller.state / "journal.jsonl"
    with subprocess.Popen(
        controller.argv("apply", "--yes"), cwd=ROOT, env=controller.environment, stdout=subprocess.DEVNULL
    ) as command:
        while not journal.exists() or journal.read_bytes().count(b'"s"') < 20:
            assert command.poll() is None, "it ended before it could be killed"
        command.kill()
    assert controller.in_force() == ""
    assert 0 < len(controller.addresses("e0")) < count
    done = controller.apply()
    assert controller.in_force() == commit
    assert len(controller.addresses("e0")) == count
    assert "was cut off after" in str(controller.lines("decisions.jsonl"))
    assert f"{count} actions" not in done.out, "what was done is not done again"
    assert controller.hagit("plan", "--detailed-exitcode").code == 0
