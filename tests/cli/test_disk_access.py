"""Disks asked by a child process, on simulated disks: the same answers, and no command waits for the child."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.disk_access import IsolatedAdapters
from reconciler.core.failover.ports import SharedPools, Shelf, answered
from reconciler.core.failover.reservations.claim import Answer, Command, Verb
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.errors import NodeFileError, StateError
from reconciler.system.shelf import open_shelf
from tests.system.shelf.rig import DISKS, LONG_S, SimulatedRig, orders

KEY = Key(Side.A, 7)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[SimulatedRig]:
    made = SimulatedRig(tmp_path)
    yield made
    made.close()


def adapters(rig: SimulatedRig) -> tuple[Shelf, SharedPools]:
    return open_shelf(f"simulated:{rig.path}", Side.A, orders(Side.A))


def test_it_answers_as_the_adapters_do(rig: SimulatedRig) -> None:
    aside = IsolatedAdapters(lambda: adapters(rig))
    assert answered(aside, Command(Verb.REGISTER, 1, KEY), LONG_S).answer is Answer.GOOD
    assert [view.registered for view in aside.look(LONG_S)] == [set(), {KEY}, set(), set()]
    assert aside.survey(LONG_S) == aside.look(LONG_S), "a simulated shelf tells no more"
    assert aside.pools(LONG_S).pools.value == "none"
    aside.close()


def test_a_child_that_waits_for_ever_delays_nothing(rig: SimulatedRig) -> None:
    aside = IsolatedAdapters(lambda: adapters(rig))
    os.kill(aside.child, signal.SIGSTOP)
    aside.close()
    again = IsolatedAdapters(lambda: adapters(rig))
    assert len(again.look(LONG_S)) == len(DISKS)
    again.close()


def test_an_error_in_the_child_is_raised_here(rig: SimulatedRig) -> None:
    with pytest.raises(NodeFileError) as refused:
        IsolatedAdapters(lambda: open_shelf("nowhere:", Side.A, orders(Side.A)))
    assert "write disks:" in refused.value.remedy
    aside = IsolatedAdapters(lambda: adapters(rig))
    os.kill(aside.child, signal.SIGKILL)
    with pytest.raises(StateError, match="ended by itself"):
        aside.look(LONG_S)
    aside.close()
