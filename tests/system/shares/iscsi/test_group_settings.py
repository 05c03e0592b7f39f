"""Changes between the portal group that must be and the one that is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.shares.shares import Chap, Initiator, IscsiServer, IscsiTarget, Lun
from reconciler.system.shares.iscsi.group_settings import (
    GroupSettings,
    GroupState,
    InitiatorState,
    TreeAction,
    changes,
    place_of,
    unit_of,
)
from reconciler.system.shares.iscsi.portal_groups import SettingsError, settings_of

IQN, CLIENT, OTHER = "iqn.2026-01.lab:disks", "iqn.2026-01.lab:client", "iqn.2026-01.lab:other"
SERIALS = {"tank/a": "0" * 15 + "a", "tank/b": "0" * 15 + "b"}
TARGET = IscsiTarget(
    "disks", IQN, ("192.0.2.1",), (Lun(0, "tank/a"), Lun(5, "tank/b")), (Initiator(CLIENT), Initiator(OTHER))
)
PLACE = place_of(IQN)


def settings(target: IscsiTarget = TARGET) -> GroupSettings:
    return settings_of(target, IscsiServer(), SERIALS, {})[0]


def state_of(wanted: GroupSettings) -> GroupState:
    """Return the state that these settings lead to."""
    luns = {f"lun_{number}": {"x": unit_of(serial)} for number, serial in wanted.luns}
    views = {name: {"y": f"{wanted.place}/lun/{name}"} for name in luns}
    initiators = {
        one.iqn: InitiatorState({row.path: row.value for row in one.attributes}, views) for one in wanted.initiators
    }
    attributes = {row.path: row.value for row in wanted.attributes}
    return GroupState(True, True, attributes, luns, initiators, wanted.portals)


def rows(wanted: GroupSettings, state: GroupState) -> list[tuple[str, str]]:
    return [
        (str(change.action), change.path.removeprefix(f"{PLACE}/"))
        for phase in changes(wanted, state)
        for group in phase
        for change in group
    ]


def test_a_group_that_is_as_it_must_be_has_no_change() -> None:
    assert rows(settings(), state_of(settings())) == []


def test_a_new_group_opens_last() -> None:
    found = rows(settings(), GroupState(exists=False))
    assert found[:3] == [("make", f"iscsi/{IQN}"), ("make", PLACE), ("write", "param/TargetAlias")]
    order = [found.index(row) for row in (
        ("link", "lun/lun_5/hagit"), ("make", f"acls/{CLIENT}"), ("link", f"acls/{CLIENT}/lun_5/hagit"),
        ("make", "np/192.0.2.1:3260"), ("write", "enable"),
    )]  # fmt: skip
    assert order == sorted(order) and order[-1] == len(found) - 1


def test_a_unit_with_another_volume_is_taken_from_initiators_first() -> None:
    swapped = replace(TARGET, luns=(Lun(0, "tank/b"), Lun(5, "tank/b")))
    assert rows(settings(swapped), state_of(settings())) == [
        *[(action, f"acls/{one}/lun_0{end}") for one in (CLIENT, OTHER) for action, end in UNVIEW],
        ("unlink", "lun/lun_0/x"),
        ("remove", "lun/lun_0"),
        ("make", "lun/lun_0"),
        ("link", "lun/lun_0/hagit"),
        *[(action, f"acls/{one}/lun_0{end}") for one in (CLIENT, OTHER) for action, end in VIEW],
    ]


UNVIEW = (("unlink", "/y"), ("remove", ""))
VIEW = (("make", ""), ("link", "/hagit"))


def test_an_initiator_that_goes_leaves_the_other_alone() -> None:
    fewer = replace(TARGET, initiators=(Initiator(OTHER),))
    found = rows(settings(fewer), state_of(settings()))
    assert found[-1] == ("remove", f"acls/{CLIENT}")
    assert all(CLIENT in path for _, path in found)


def test_a_portal_that_goes_goes_after_the_group_is_open() -> None:
    moved = replace(TARGET, addresses=("192.0.2.2",))
    state = replace(state_of(settings()), enabled=False)
    assert rows(settings(moved), state) == [
        ("make", "np/192.0.2.2:3260"),
        ("write", "enable"),
        ("remove", "np/192.0.2.1:3260"),
    ]


def test_a_secret_is_in_no_text(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("a-long-secret-77\n")
    file.chmod(0o600)
    target = replace(TARGET, initiators=(Initiator(CLIENT, Chap("user", "NAME")),))
    wanted, faults = settings_of(target, IscsiServer(), SERIALS, {"NAME": file})
    assert not faults
    found = changes(wanted, GroupState(exists=False))
    written = [change for phase in found for group in phase for change in group if change.secret]
    assert [change.value for change in written if change.action is TreeAction.WRITE] == ["a-long-secret-77"]
    assert "a-long-secret-77" not in repr(found) + repr(wanted)
    assert all("a-long-secret-77" not in change.text for change in written)


@pytest.mark.parametrize(
    "text", ["too-little", "NULL-and-more-letters", "with a space in it", "x" * 256, "ümlauts-in-a-secret"]
)
def test_a_secret_that_the_kernel_would_misread_admits_no_initiator(tmp_path: Path, text: str) -> None:
    file = tmp_path / "secret"
    file.write_text(text)
    file.chmod(0o600)
    target = replace(TARGET, initiators=(Initiator(CLIENT, Chap("user", "NAME")), Initiator(OTHER)))
    wanted, (fault,) = settings_of(target, IscsiServer(), SERIALS, {"NAME": file})
    assert fault.iqn == CLIENT and text not in fault.text
    assert [(one.iqn, one.known) for one in wanted.initiators] == [(CLIENT, False), (OTHER, True)]
    found = rows(wanted, GroupState(exists=False))
    assert not any(CLIENT in path for _, path in found)


@pytest.mark.parametrize(
    ("target", "word"),
    [
        (replace(TARGET, name="a/b"), "no name of a resource"),
        (replace(TARGET, iqn="iqn.2026-01.lab:.."), ""),
        (replace(TARGET, iqn="../core"), "no iSCSI name"),
        (replace(TARGET, addresses=("../x",)), "portal"),
        (replace(TARGET, luns=(Lun(0, "tank/a"), Lun(0, "tank/b"))), "twice"),
        (replace(TARGET, luns=(Lun(20_000, "tank/a"),)), "too large"),
        (replace(TARGET, initiators=(Initiator("x/y"),)), "an initiator"),
    ],
)
def test_a_target_that_makes_no_path_is_refused(target: IscsiTarget, word: str) -> None:
    if not word:
        assert "/" not in settings(target).iqn
        return
    with pytest.raises(SettingsError, match=word):
        settings(target)
