"""`hagit adopt` on a simulated shelf: what it takes, what it leaves for the watchdog, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.application import run
from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.reservations.claim import Verb
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import DiskView
from reconciler.system.files import Lock
from tests.cli.test_reservations import Captured, ShelfOperator
from tests.controller import Done
from tests.system.shelf.rig import DISKS, LONG_S


class Adopter(ShelfOperator):
    """An operator at both controllers. One of them has imported the pools without a claim."""

    def pools(self, side: Side) -> Presence:
        house = self.rig.open(side)[1]
        return house.look(LONG_S).pools

    def imports(self, side: Side) -> None:
        assert self.rig.open(side)[1].import_(LONG_S)

    def adopt(self, side: Side, *words: str) -> Done:
        code = run(["adopt", *words, "--node", str(self.root / side / "node.toml")])
        shown = self._capsys.readouterr()
        return Done(code, shown.out, shown.err)

    def views(self) -> tuple[DiskView, ...]:
        return self.rig.open(Side.B)[0].look(LONG_S)

    def memory(self, side: Side) -> Path:
        return self.root / side / "run" / "memory"


@pytest.fixture
def operator(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> Iterator[Adopter]:
    monkeypatch.setenv("NO_COLOR", "1")
    made = Adopter(tmp_path, capsys)
    yield made
    made.rig.close()


def test_imported_pools_come_under_a_reservation_and_the_watchdog_finds_it(operator: Adopter) -> None:
    operator.imports(Side.A)
    shown = operator.adopt(Side.A, "--yes")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.endswith("Adopted. Start the watchdog: systemctl start hagit-watchdog\n")
    memory = json.loads(operator.memory(Side.A).read_bytes())
    key = Key(Side.A, memory["epoch"])
    assert operator.views() == (DiskView(True, key, frozenset({key})),) * len(DISKS)
    assert (memory["phase"], memory["quiet"], key.claim, key.machine > 0) == ("importing", False, 1, True)
    assert operator.pools(Side.A) is Presence.ALL


def test_without_imported_pools_nothing_is_taken(operator: Adopter) -> None:
    shown = operator.adopt(Side.A, "--yes")
    assert shown.code == 1
    assert "nothing to adopt" in shown.err
    assert operator.views() == (DiskView(True),) * len(DISKS)
    assert not operator.memory(Side.A).exists()


@pytest.mark.parametrize("holder", [Key(Side.B, 9), Key(None, 0xABC)])
def test_a_disk_that_another_holds_refuses_all(operator: Adopter, holder: Key) -> None:
    operator.imports(Side.A)
    operator.do(Side.B, Verb.REGISTER, holder)
    operator.do(Side.B, Verb.RESERVE, holder)
    before = operator.views()
    shown = operator.adopt(Side.A, "--yes")
    assert shown.code == 1
    assert f"disk3 is held by {holder}" in shown.err
    assert operator.views() == before
    assert not operator.memory(Side.A).exists()


def test_a_silent_disk_refuses_all(operator: Adopter) -> None:
    operator.imports(Side.A)
    operator.rig.lose(Side.A, 2)
    shown = operator.adopt(Side.A, "--yes")
    assert (shown.code, "disk2 does not answer" in shown.err) == (1, True)
    assert operator.views() == (DiskView(True),) * len(DISKS)


def test_it_refuses_beside_a_watchdog(operator: Adopter) -> None:
    operator.imports(Side.A)
    with Lock(operator.root / "a" / "run" / "watchdog.lock", "hagit watchdog"):
        shown = operator.adopt(Side.A, "--yes")
    assert (shown.code, "locked by hagit watchdog" in shown.err) == (1, True)


def test_without_a_yes_nothing_is_done(operator: Adopter) -> None:
    operator.imports(Side.A)
    assert operator.adopt(Side.A).code == 1
    assert operator.views() == (DiskView(True),) * len(DISKS)


def test_disks_are_given_back_when_the_watchdog_could_not_find_them(operator: Adopter) -> None:
    operator.imports(Side.A)
    (operator.memory(Side.A) / "in-the-way").mkdir(parents=True)
    shown = operator.adopt(Side.A, "--yes")
    assert (shown.code, "memory" in shown.err, "Adopted" in shown.out) == (1, True, False)
    assert operator.views() == (DiskView(True),) * len(DISKS)
