"""Which pool stands behind a name: asked without waiting, and believed only for the instance that was asked about."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.system.zfs.guids import AGAIN_S, PATIENCE_S, SETTLE_S, Guids
from tests.wait import until

#: Tells what is written down, when it may, and what it was asked.
PROGRAM = 'cd "$0"; echo "$@" >>asked; until [ ! -e held ]; do sleep 0.02; done; cat told; exit $(cat code)'


class Rig:
    """A program in the place of zpool, and a clock."""

    def __init__(self, place: Path) -> None:
        self.place, self.now_s = place, 100.0
        self.guids = Guids(lambda *pools: ("sh", "-c", PROGRAM, str(place), *pools), lambda: self.now_s)
        (place / "code").write_text("0")
        (place / "told").write_text("tank\t7\n")

    @property
    def asked(self) -> list[str]:
        path = self.place / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def known(self, instances: dict[str, str], expected: dict[str, int]) -> None:
        """Waits until so much is known."""
        until(lambda: self.guids.look(instances) == expected, lambda: self.guids.look(instances))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_a_pool_is_asked_for_when_it_has_been_here_for_a_moment(rig: Rig) -> None:
    assert rig.guids.look({"tank": "1@1"}) == {}
    rig.now_s += SETTLE_S - 0.1
    assert rig.guids.look({"tank": "1@1"}) == {} and not rig.asked
    rig.now_s += 0.1
    rig.known({"tank": "1@1"}, {"tank": 7})
    assert rig.asked == ["tank"]


def test_another_pool_of_the_name_is_asked_for_anew(rig: Rig) -> None:
    rig.guids.look({"tank": "1@1"})
    rig.now_s += SETTLE_S
    rig.known({"tank": "1@1"}, {"tank": 7})
    (rig.place / "told").write_text("tank\t8\n")
    assert rig.guids.look({"tank": "2@9"}) == {}
    rig.now_s += SETTLE_S
    rig.known({"tank": "2@9"}, {"tank": 8})
    assert rig.guids.look({"tank": ""}) == {}


def test_what_was_asked_about_an_earlier_pool_says_nothing_of_the_present_one(rig: Rig) -> None:
    (rig.place / "held").touch()
    rig.guids.look({"tank": "1@1"})
    rig.now_s += SETTLE_S
    until(lambda: rig.guids.look({"tank": "1@1"}) or rig.asked)
    (rig.place / "held").unlink()
    until(lambda: rig.guids.look({"tank": "2@9"}) or not rig.guids.asking)
    assert rig.guids.look({"tank": "2@9"}) == {}


def test_it_is_asked_again_because_a_guid_may_change(rig: Rig) -> None:
    rig.guids.look({"tank": "1@1"})
    rig.now_s += SETTLE_S
    rig.known({"tank": "1@1"}, {"tank": 7})
    (rig.place / "told").write_text("tank\t8\n")
    rig.now_s += AGAIN_S
    rig.known({"tank": "1@1"}, {"tank": 8})
    assert len(rig.asked) == 2


@pytest.mark.parametrize(("told", "code"), [("tank\t7\n", "1"), ("tank\tseven\n", "0"), ("", "0"), ("moon\t7\n", "0")])
def test_what_is_not_told_is_not_known(rig: Rig, told: str, code: str) -> None:
    (rig.place / "told").write_text(told)
    (rig.place / "code").write_text(code)
    rig.guids.look({"tank": "1@1"})
    rig.now_s += SETTLE_S
    until(lambda: rig.guids.look({"tank": "1@1"}) or (rig.asked and not rig.guids.asking))
    assert rig.guids.look({"tank": "1@1"}) == {}


def test_a_program_that_hangs_is_left_behind_and_asked_again(rig: Rig) -> None:
    (rig.place / "held").touch()
    rig.guids.look({"tank": "1@1"})
    rig.now_s += SETTLE_S
    until(lambda: rig.guids.look({"tank": "1@1"}) or rig.asked)
    rig.now_s += PATIENCE_S + 0.1
    assert rig.guids.look({"tank": "1@1"}) == {} and not rig.guids.asking
    (rig.place / "held").unlink()
    rig.now_s += SETTLE_S
    rig.known({"tank": "1@1"}, {"tank": 7})
    rig.guids.close()
