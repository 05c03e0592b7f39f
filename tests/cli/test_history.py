"""`hagit history` and `hagit status` before the first apply and after some."""

from __future__ import annotations

import json
import re

from reconciler.cli.application import COMMANDS
from tests.controller import Controller, interface

STORAGE = interface("storage0", "10.0.0.1/24", nic="e0")
NAMES = [name for name, *_ in COMMANDS]


def test_history_and_status_before_anything_happened(controller: Controller) -> None:
    status = controller.hagit("status")
    assert status.code == 0
    assert status.out.startswith("Controller a: no revision was applied yet.\n")
    assert controller.hagit("status", "-o", "json").json()["well"] is False
    assert controller.hagit("history").out == "Nothing was applied here yet.\n"
    assert controller.hagit("history", "-o", "json").json() == {"format": "hagit.history/1", "entries": []}
    assert controller.hagit("decisions").out == ""
    drift = controller.hagit("drift")
    assert drift.code == 2
    assert "no revision was ever applied here" in drift.err
    rollback = controller.hagit("rollback", "--yes")
    assert rollback.code == 1
    assert "there is nothing to go back to" in rollback.err


def test_history_says_who_and_what(controller: Controller) -> None:
    for number in (1, 2, 3):
        controller.work.commit(f"Step {number}", net__yaml=STORAGE.replace("10.0.0.1/", f"10.0.0.{number}/"))
        controller.apply()
    lines = controller.hagit("history", "-n", "2").out.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  applied      main@\w{7}  Step 3  \(Ada\)  .*1 created.*", lines[1]
    )
    decisions = controller.hagit("decisions").out.splitlines()
    assert {json.loads(line)["decision"] for line in decisions} == {"apply", "applied"}
    assert re.search(r"created, 1 removed|removed, 1 created", lines[1])
