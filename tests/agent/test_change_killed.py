"""SIGKILL at every point of a guarded change, and of its way back: the next start ends where the change began."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import pytest

from reconciler.agent.apply import apply_plan, propose
from reconciler.agent.change_guard import ConfirmedChange
from reconciler.agent.session import Session
from reconciler.agent.source.content import compile_content
from reconciler.agent.store import AcceptedHistory
from reconciler.core.confirmation.pending_change import ChangeStage, ChangeVerdict
from reconciler.core.facts.fact import Key
from reconciler.core.facts.ownership import Owner
from reconciler.system.netlink.live_network import LiveNetwork
from tests.agent.test_killed import REVISIONS, Facts, Fatal, end_of, live
from tests.controller import PAIR, interface, resource
from tests.system.network.namespaces import in_namespace

FIRST = (
    PAIR
    + interface("e0", "10.0.0.1/24", mtu=4000)
    + interface("e1", "10.1.0.1/24")
    + resource("Route", "far", "{destination: 10.90.0.0/16, gateway: 10.0.0.9}")
)
SECOND = PAIR + interface("e0") + interface("e1") + interface("br1", "10.2.0.1/24", extra="bridge: {members: [e1]}")
CONTENTS = [compile_content({"all.yaml": text.encode()}, "a") for text in (FIRST, SECOND)]
State: TypeAlias = tuple[Facts, dict[Key, Owner]]


class FatalHost(Fatal):
    """Without pools."""

    def select_storage(self, keys: Iterable[Key]) -> bool:
        return False


class FatalSession(Session):
    """A session whose host dies at a point."""

    def __init__(self, node: Path, root: Path, fatal: int) -> None:
        super().__init__(node)
        self.network = LiveNetwork(root / "hostname", root / "resolv.conf", root=root)
        self.fatal = FatalHost(self.network, fatal, lambda: os.kill(os.getpid(), signal.SIGKILL))

    @property
    def host(self) -> FatalHost:  # type: ignore[override]
        return self.fatal

    def content_for(self, revision):  # type: ignore[no-untyped-def, override]
        return CONTENTS[REVISIONS.index(revision)]

    def __exit__(self, *how: object) -> None:
        self.network.close()


def node_at(root: Path) -> Path:
    node = root / "node.toml"
    lines = ['controller = "a"', f"state = '{root / 'state'}'", "listen = false", "[source]", "remotes = ['/nowhere']"]
    lines += ["[files]", f"hostname = '{root / 'hostname'}'", f"resolver = '{root / 'resolv.conf'}'"]
    node.write_text("\n".join([*lines, "[trust]", "unsigned = 'accept-without-warning'"]) + "\n")
    return node


def in_a_child(work: Callable[[], None]) -> bool:
    """Run in a child process; True when SIGKILL ended it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def guarded_apply(node: Path, root: Path, fatal: int) -> None:
    with FatalSession(node, root, fatal) as session:
        assert isinstance(session, FatalSession)
        plan = propose(CONTENTS[1], REVISIONS[1].full_name, session.network.observe())
        guard = ConfirmedChange(session, REVISIONS[1], CONTENTS[1], within_s=600.0)
        apply_plan(
            session.store,
            session.fatal,
            plan,
            REVISIONS[1],
            purpose="test",
            record_as="applied",
            progress=session.fatal.progress,
            guard=guard,
        )


def way_back(node: Path, root: Path, fatal: int) -> None:
    with FatalSession(node, root, fatal) as session:
        session.changes.revert("the test asks for it")


def started_again(node: Path, root: Path) -> FatalSession:
    """What the next agent does first."""
    session = FatalSession(node, root, 0)
    change = session.changes.open_change()
    if change is not None:
        verdict = session.changes.judge(None, 0.0)
        assert verdict is (ChangeVerdict.WAIT if change.stage is ChangeStage.PENDING else ChangeVerdict.REVERT)
    return session


def difference(end: State, before: State) -> set[object]:
    """Facts and owners of one state that are not in the other. The alias of a NIC may stay: both revisions want it."""
    found = [
        {fact for key, fact in facts.items() if key[0] != "mark"}
        | {(key, owner) for key, owner in owners.items() if key[0] != "mark"}
        for facts, owners in (end, before)
    ]
    return set(found[0] ^ found[1])


def prepared(root: Path) -> tuple[Path, FatalSession]:
    """The first revision is in force, and the second one is the newest."""
    node = node_at(root)
    session = FatalSession(node, root, 0)
    session.store.accept(AcceptedHistory(head=REVISIONS[1].commit, good=REVISIONS[1]))
    plan = propose(CONTENTS[0], REVISIONS[0].full_name, session.network.observe())
    apply_plan(session.store, session.network, plan, REVISIONS[0], purpose="test", record_as="applied")
    return node, session


@pytest.mark.timeout(120)
def test_the_kernel_is_as_before_wherever_a_change_or_its_way_back_is_killed(tmp_path: Path) -> None:
    def run() -> None:
        with live(tmp_path):
            node, first = prepared(tmp_path)
            before = end_of(first.network)
            first.network.close()
            fatal, killed = 0, True
            while killed:
                fatal += 1
                killed = in_a_child(lambda at=fatal: guarded_apply(node, tmp_path, at))
                session = started_again(node, tmp_path)
                with closing(session.network):
                    if not killed:
                        break
                    assert not difference(end_of(session.network), before), f"killed at point {fatal}"
                    accepted, applied = session.store.accepted(), session.store.applied()
                    assert accepted.wanted == REVISIONS[0]
                    assert accepted.blocked is not None and accepted.blocked.commit == REVISIONS[1].commit
                    assert applied is not None and applied.revision == REVISIONS[0] and applied.complete
                session.store.accept(AcceptedHistory(head=REVISIONS[1].commit, good=REVISIONS[1]))
            assert fatal > 25, "the plan has become so short that this tests little"
            # Every third point: the way back is an apply like any other.
            fatal, killed = -1, True
            while killed:
                fatal += 3
                killed = in_a_child(lambda at=fatal: way_back(node, tmp_path, at))
                session = started_again(node, tmp_path)
                with closing(session.network):
                    assert not difference(end_of(session.network), before), f"way back killed at point {fatal}"
                    change = session.store.change()
                    assert change is not None and change.stage is ChangeStage.REVERTED
                session.store.accept(AcceptedHistory(head=REVISIONS[1].commit, good=REVISIONS[1]))
                guarded_apply(node, tmp_path, 0)
            assert fatal > 10

    in_namespace(run)


def test_a_boot_goes_back_to_the_revision_before(tmp_path: Path) -> None:
    def first_boot() -> None:
        with live(tmp_path):
            node, first = prepared(tmp_path)
            first.network.close()
            guarded_apply(node, tmp_path, 0)

    def second_boot() -> None:
        with live(tmp_path):
            session = FatalSession(tmp_path / "node.toml", tmp_path, 0)
            assert session.changes.judge(None, 0.0) is ChangeVerdict.REVERT
            change, applied = session.store.change(), session.store.applied()
            assert change is not None and "started again" in change.why
            assert applied is not None and applied.revision == REVISIONS[0] and applied.holds_now()
            assert not propose(CONTENTS[0], "main@1", session.network.observe()).actions
            session.network.close()

    in_namespace(first_boot)
    in_namespace(second_boot)
