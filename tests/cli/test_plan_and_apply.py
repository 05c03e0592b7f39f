"""plan, apply, diff and drift as a person and as a program use them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.cli.screen import Screen
from tests.controller import Controller, interface

STORAGE = interface("storage0", "10.0.0.1/24", nic="e0", mtu=9000)


@pytest.fixture
def asked(controller: Controller) -> Controller:
    """A controller that is asked for an interface it does not have."""
    (controller.root / "hostname").write_text("shelf-a\n")
    controller.work.commit("Give storage0 an address", net__yaml=STORAGE)
    return controller


def test_from_a_plan_to_a_network_and_back_to_nothing_to_do(asked: Controller) -> None:
    plan = asked.hagit("plan", "--detailed-exitcode")
    assert plan.code == 2
    assert plan.err == ""
    verdict, symbols, *_ = plan.out.splitlines()
    assert re.fullmatch(r"Plan for controller a at main@\w{7}: 1 to create, \d to change; worst impact blip\.", verdict)
    assert "+ create" in symbols
    for words in ("Interface/storage0 (e0)", "10.0.0.1/24", "net.yaml:6", "1500 → 9000", "Ada, not signed"):
        assert words in plan.out
    assert asked.addresses() == set()
    diff = asked.hagit("diff")
    assert diff.code == 1
    assert "+ Interface/storage0: address 10.0.0.1/24 of e0  (missing)  net.yaml:6" in diff.out
    done = asked.apply()
    assert "Applied main@" in done.out
    assert asked.addresses() == {"10.0.0.1/24"}
    assert asked.mtu("e0") == 9000
    assert asked.show("link", "show", "e0")[0]["operstate"] == "UP"
    again = asked.hagit("plan", "--detailed-exitcode")
    assert (again.code, again.out) == (0, f"No changes. Live state matches main@{asked.in_force()[:7]}.\n")
    assert asked.hagit("diff").code == 0
    drift = asked.hagit("drift")
    assert drift.code == 0
    assert drift.out.startswith("No differences.")
    assert "Nothing to do" in asked.apply().out


def test_programs_read_json(asked: Controller) -> None:
    plan = asked.hagit("plan", "-o", "json").json()
    assert plan["format"] == "hagit.plan/1"
    assert len(plan["actions"]) >= 3
    diff = asked.hagit("diff", "-o", "json")
    assert diff.code == 1
    assert diff.json()["format"] == "hagit.differences/1"
    kinds = {(item["kind"], item["desired"]) for item in diff.json()["differences"]}
    assert ("add", "10.0.0.1/24") in kinds
    outcome = asked.hagit("apply", "--yes", "-o", "json").json()
    assert outcome["format"] == "hagit.outcome/1"
    assert outcome["complete"] is True
    assert outcome["performed"] == outcome["total"] == len(plan["actions"])
    asked.ip("address del 10.0.0.1/24 dev e0")
    drift = asked.hagit("drift", "-o", "json")
    assert drift.code == 1
    (only,) = drift.json()["differences"]
    assert only["origin"] == "net.yaml:6"
    assert only["live"] is None


def test_what_a_newer_commit_asks_for_is_no_drift(asked: Controller) -> None:
    asked.apply()
    asked.work.commit("More", net__yaml=STORAGE.replace("9000", "8000"))
    assert asked.hagit("drift").code == 0
    assert asked.hagit("diff").code == 1


def test_a_saved_plan_does_exactly_what_it_says(asked: Controller) -> None:
    saved = asked.root / "change.plan"
    made = asked.hagit("plan", "--out", str(saved))
    assert made.code == 0
    assert f"hagit apply {saved}" in made.out
    assert json.loads(saved.read_bytes())["format"] == "hagit.plan/1"
    done = asked.hagit("apply", "--yes", str(saved))
    assert done.code == 0, done
    assert asked.addresses() == {"10.0.0.1/24"}
    again = asked.hagit("apply", "--yes", str(saved))
    assert again.code == 1
    assert "stale" in again.err


def test_a_saved_plan_is_refused_when_live_state_has_moved(asked: Controller) -> None:
    saved = asked.root / "change.plan"
    asked.hagit("plan", "--out", str(saved))
    asked.ip("link set e0 mtu 4000")
    done = asked.hagit("apply", "--yes", str(saved))
    assert done.code == 1
    assert "stale" in done.err
    assert "mtu of e0 has changed: mtu 1500, 4000 now" in done.err
    assert "hagit plan" in done.err
    assert asked.addresses() == set()


def test_a_saved_plan_is_refused_when_a_newer_revision_has_come(asked: Controller) -> None:
    saved = asked.root / "change.plan"
    asked.hagit("plan", "--out", str(saved))
    newer = asked.work.commit("More", net__yaml=STORAGE.replace("9000", "8000"))
    done = asked.hagit("apply", "--yes", str(saved))
    assert done.code == 1
    assert f"main@{newer[:7]} is to be applied" in done.err
    assert asked.addresses() == set()


def test_a_saved_plan_is_refused_on_the_other_controller(asked: Controller) -> None:
    saved = asked.root / "change.plan"
    asked.hagit("plan", "--out", str(saved))
    asked.letter = "b"
    asked.write_node()
    done = asked.hagit("apply", "--yes", str(saved))
    assert done.code == 1
    assert "the plan is for controller a, this is b" in done.err
    assert asked.addresses() == set()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"format": "hagit.plan/1", "act', "not a JSON document"),
        (b"\x00\xff\xfe", "not a JSON document"),
        (b"[" * 100_000, "not a JSON document"),
        (b"[]", "not a saved plan"),
        (b'"hagit.plan/1"', "not a saved plan"),
        (b'{"format": "hagit.plan/9"}', "not a saved plan"),
        (b'{"format": "hagit.plan/1"}', "the saved plan is damaged"),
        (b"", "there is no saved plan"),
    ],
    ids=["cut short", "not text", "nested", "a list", "a word", "another version", "empty document", "empty file"],
)
def test_a_file_that_is_no_plan(asked: Controller, content: bytes, words: str) -> None:
    saved = asked.root / "change.plan"
    saved.write_bytes(content)
    done = asked.hagit("apply", "--yes", str(saved))
    assert done.code == 1
    assert words in done.err
    assert str(saved) in done.err
    assert "Traceback" not in done.err
    assert asked.addresses() == set()


def test_a_damaged_action_in_a_saved_plan_is_refused_whole(asked: Controller) -> None:
    saved = asked.root / "change.plan"
    asked.hagit("plan", "--out", str(saved))
    document = json.loads(saved.read_bytes())
    document["actions"][-1]["after"] = {"fact": "nonsense"}
    saved.write_text(json.dumps(document))
    done = asked.hagit("apply", "--yes", str(saved))
    assert done.code == 1
    assert "the saved plan is damaged" in done.err
    assert asked.mtu("e0") == 1500


def test_files_that_cannot_be(asked: Controller, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        done = asked.hagit("apply", "--yes", str(path))
        assert done.code == 1
        assert str(path) in done.err
        assert "Traceback" not in done.err
    done = asked.hagit("plan", "--out", str(tmp_path / "no" / "such" / "directory"))
    assert done.code == 1
    assert "No such file or directory" in done.err


def test_only_yes_is_yes(asked: Controller) -> None:
    for answer in ("y\n", "no\n", "\n", "YES\n", "\x04"):
        screen = Screen(asked, "apply")
        screen.until("Only 'yes' is taken: ")
        screen.type(answer)
        assert screen.end() == 1
        assert "Nothing was applied." in screen.shown
    assert asked.addresses() == set()
    screen = Screen(asked, "apply")
    screen.until("Only 'yes' is taken: ")
    screen.type("yes\n")
    assert screen.end() == 0, screen.shown
    assert asked.addresses() == {"10.0.0.1/24"}


def test_ctrl_c_at_the_question_does_nothing(asked: Controller) -> None:
    screen = Screen(asked, "apply")
    screen.until("Only 'yes' is taken: ")
    screen.type("\x03")
    assert screen.end() == 130
    assert "interrupted" in screen.shown
    assert "Traceback" not in screen.shown
    assert asked.addresses() == set()


def test_without_a_terminal_there_is_no_question(asked: Controller) -> None:
    done = asked.hagit("apply", stdin="yes\n")
    assert done.code == 1
    assert "Nothing was applied: there is no terminal to ask on; add --yes." in done.err
    assert asked.addresses() == set()


def test_colours_are_for_terminals_that_want_them(asked: Controller) -> None:
    coloured = Screen(asked, "plan")
    assert coloured.end() == 0
    assert "\x1b[" in coloured.shown
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = Screen(asked, "plan", **environment)
        assert plain.end() == 0
        assert "\x1b[" not in plain.shown
    assert "\x1b[" not in asked.hagit("plan").out


def test_a_reader_that_leaves_early_is_no_error(asked: Controller) -> None:
    command = " ".join(f"'{word}'" for word in asked.argv("plan", "-o", "json"))
    text = asked.machine.run(
        "bash", "-c", f"set -o pipefail; cd {Path.cwd()}; {command} | head -c 1", env=asked.environment
    )
    assert text == "{"


def test_files_that_are_not_committed_can_be_tried(asked: Controller) -> None:
    draft = asked.root / "draft"
    draft.mkdir()
    (draft / "all.yaml").write_text((asked.work.path / "pair.yaml").read_text() + STORAGE.replace("9000", "7000"))
    plan = asked.hagit("plan", "-C", str(draft))
    assert plan.code == 0
    assert "1500 → 7000" in plan.out
    assert asked.hagit("diff", "--directory", str(draft)).code == 1
    done = asked.hagit("apply", "--yes", "-C", str(draft))
    assert done.code == 0, done
    assert asked.mtu("e0") == 7000
    assert asked.in_force() == ""
    both = asked.hagit("plan", "-C", str(draft), "-r", "HEAD")
    assert both.code == 1
    assert "exclude each other" in both.err
    saved = asked.root / "draft.plan"
    assert asked.hagit("plan", "-C", str(draft), "--out", str(saved)).code == 0
    with_option = asked.hagit("apply", "--yes", str(saved), "-C", str(draft))
    assert with_option.code == 1
    assert "already says which revision" in with_option.err


def test_where_a_plan_is_saved_stays_what_it_is(asked: Controller) -> None:
    pipe, link, target = asked.root / "pipe", asked.root / "link", asked.root / "target"
    os.mkfifo(pipe)
    target.write_text("old")
    link.symlink_to("target")
    refused = asked.hagit("plan", "--out", str(pipe))
    assert refused.code == 1 and "start the program that reads this pipe first" in refused.err and pipe.is_fifo()
    assert asked.hagit("plan", "--out", str(link)).code == 0
    assert link.is_symlink() and json.loads(target.read_text())["format"] == "hagit.plan/1"
    assert asked.hagit("apply", "--yes", str(pipe)).code == 1, "and nobody waits for a pipe"
    assert asked.hagit("apply", "--yes", str(link)).code == 0
    assert asked.addresses() == {"10.0.0.1/24"}


def test_an_older_revision_can_be_planned(asked: Controller) -> None:
    old = asked.work.git("rev-parse", "HEAD")
    asked.work.commit("More", net__yaml=STORAGE.replace("9000", "8000"))
    assert "1500 → 8000" in asked.hagit("plan").out
    assert "1500 → 9000" in asked.hagit("plan", "-r", old).out
    assert "1500 → 9000" in asked.hagit("plan", "-r", old[:7]).out
    missing = asked.hagit("plan", "-r", "0123456")
    assert missing.code == 1
    assert "0123456" in missing.err


def test_what_stays_away_of_a_removed_resource(asked: Controller) -> None:
    """What hagit made is removed with the lines that asked for it; what somebody else made is shown and stays."""
    asked.apply()
    asked.ip("address add 10.5.5.5/24 dev e0")
    asked.work.commit("Without the address", net__yaml=STORAGE.replace('address: "10.0.0.1', 'address: "10.0.9.1'))
    plan = asked.hagit("plan")
    assert "-      address  10.0.0.1/24" in plan.out
    assert "10.5.5.5/24" in plan.out.partition("Left alone")[2]
    asked.apply()
    assert asked.addresses() == {"10.0.9.1/24", "10.5.5.5/24"}
