"""All commands: help with an example that works, the list, the version, several node files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from reconciler.cli.application import COMMANDS, command_function, run
from tests.controller import PAIR, ROOT, Controller, interface

STORAGE = interface("storage0", "10.0.0.1/24", nic="e0")
NAMES = [name for name, *_ in COMMANDS]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for option in ("--help", "-h"):
        assert run([name, option]) == 0
        shown = capsys.readouterr().out
        assert re.search(rf"Example:  .*hagit .*{name}", shown), shown


def test_the_list_of_commands_is_the_commands_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"^│ ([a-z][a-z-]+) {2,}\S", shown, re.MULTILINE) == NAMES


def test_every_example_of_the_help_is_a_command_line_that_is_understood() -> None:
    """The options in the examples exist; what they do is tested elsewhere."""
    known = json.loads((ROOT / "reconciler" / "cli" / "completion.json").read_text())
    for name in NAMES:
        function = command_function(name)
        examples = re.findall(r"^\s*(?:Example:\s+)?(?:source <\()?(hagit .*)$", function.__doc__ or "", re.MULTILINE)
        assert examples, name
        for example in examples:
            for part in re.split(r"&&|\|", example):
                words = re.sub(r"--node \S+ ", "", part).split()
                if words[:1] == ["hagit"]:
                    assert words[1] in known, example
                    for option in (word for word in words[2:] if word.startswith("--")):
                        assert option in known[words[1]]["options"], example


def test_the_version_and_no_command_at_all(controller: Controller) -> None:
    assert re.fullmatch(r"hagit \d+\.\d+\.\d+\n", controller.hagit("--version").out)
    bare = controller.hagit()
    assert "Usage: hagit" in bare.out + bare.err
    assert bare.code in (0, 2)


def test_several_controllers_on_one_machine(make_controller: Callable[..., Controller]) -> None:
    """Two node files, two states, one repository: each is itself, whichever way the node file is named."""
    first = make_controller("one")
    text = PAIR + STORAGE
    first.work.commit("For both", pair__yaml=text)
    second = first.root / "b.toml"
    second.write_text(first.node.read_text().replace('"a"', '"b"').replace("/state'", "/state-b'"))
    assert "controller a at" in first.hagit("plan").out
    for how in (("--node", str(second), "plan"), ("plan", "--node", str(second)), (f"--node={second}", "plan")):
        assert "controller b at" in first.hagit(*how).out
    assert "controller b at" in first.hagit("plan", HAGIT_NODE=str(second)).out
    assert first.hagit("apply", "--yes", "--node", str(second)).code == 0
    assert first.hagit("status").out.startswith("Controller a: no revision was applied yet.")
    assert first.hagit("--node", str(second), "status").out.startswith("Controller b: main@")
