"""When a change is kept, when it waits, when the controller goes back; and the record of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from reconciler.core.confirmation.paths import PathKind, ProbedPath
from reconciler.core.confirmation.pending_change import (
    SETTLE_S,
    ChangeStage,
    ChangeVerdict,
    PendingChange,
    change_document,
    change_from_document,
    judge_change,
)
from reconciler.core.status.revision import Revision

PENDING = PendingChange(
    revision=Revision("main", "2" * 40),
    back=Revision("main", "1" * 40),
    stage=ChangeStage.PENDING,
    boot="boot",
    began_s=1.0,
    timeout_s=60.0,
    done_s=100.0,
    deadline_s=160.0,
    paths=(ProbedPath(PathKind.GATEWAY, "gateway 10.0.0.9", ("10.0.0.9",), ("10.0.0.8",), 0, 0, frozenset({"e0"})),),
    was=({"fact": "mtu", "link": "e0", "size": 1500},),
    virtual=("10.0.0.100/24",),
)
NONE: frozenset[str] = frozenset()
GATEWAY = frozenset({"gateway 10.0.0.9"})


@pytest.mark.parametrize(
    ("change", "now_s", "silent", "answered_s", "verdict", "why"),
    [
        (PENDING, 101.0, None, 0.0, ChangeVerdict.WAIT, ""),
        (PENDING, 101.0, NONE, 0.0, ChangeVerdict.WAIT, ""),
        (PENDING, 101.0, NONE, SETTLE_S, ChangeVerdict.KEEP, "everything that answered before answers now"),
        (PENDING, 159.9, GATEWAY, 0.0, ChangeVerdict.WAIT, ""),
        (PENDING, 160.0, GATEWAY, 0.0, ChangeVerdict.REVERT, "gateway 10.0.0.9 did not answer within 60 s"),
        (PENDING, 160.0, None, 0.0, ChangeVerdict.REVERT, "not confirmed within 60 s"),
        (replace(PENDING, manual=True), 101.0, NONE, 99.0, ChangeVerdict.WAIT, ""),
        (replace(PENDING, manual=True), 160.0, NONE, 99.0, ChangeVerdict.REVERT, "not confirmed within 60 s"),
        (replace(PENDING, stage=ChangeStage.APPLYING), 0.0, None, 0.0, ChangeVerdict.REVERT, "process"),
        (replace(PENDING, boot="older"), 101.0, NONE, 99.0, ChangeVerdict.REVERT, "started again"),
        (replace(PENDING, stage=ChangeStage.REVERTING, why="asked"), 0.0, NONE, 99.0, ChangeVerdict.REVERT, "asked"),
    ],
)
def test_the_verdict(
    change: PendingChange,
    now_s: float,
    silent: frozenset[str] | None,
    answered_s: float,
    verdict: ChangeVerdict,
    why: str,
) -> None:
    found, said = judge_change(change, boot="boot", now_s=now_s, silent=silent, answered_for_s=answered_s)
    assert found is verdict
    assert why in said


def test_the_record_is_read_back_and_a_newer_one_is_understood() -> None:
    document = json.loads(json.dumps(change_document(PENDING)))
    assert change_from_document(document) == PENDING
    document["later"] = 1
    document["paths"].append({"kind": "telepathy", "name": "x", "targets": [], "later": []})
    assert change_from_document(document) == PENDING
    older = {key: document[key] for key in ("revision", "back", "stage", "boot", "began_s", "timeout_s", "paths")}
    assert change_from_document(older).deadline_s == 0.0


@pytest.mark.parametrize("damage", [{}, {"stage": "lost"}, {"paths": 7}, {"revision": None}])
def test_a_damaged_record_is_refused(damage: dict[str, object]) -> None:
    document = change_document(PENDING) | damage if damage else {}
    with pytest.raises((KeyError, TypeError, ValueError)):
        change_from_document(document)
