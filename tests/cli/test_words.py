"""Commands that start, explain, capture and complete; help with an example that works for every one of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.cli.application import COMMANDS, command_function, run
from reconciler.cli.completion_script import SCRIPTS
from tests.cli.screen import Screen, script
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


def test_a_beginner_comes_from_nothing_to_an_applied_network(controller: Controller) -> None:
    # What this machine is called, and whom it asks for names, is none of the test's business.
    (controller.root / "hostname").write_text(controller.machine.run("hostname") + "\n")
    (controller.root / "r").write_text("nameserver 192.0.2.53\nsearch example.org\n")
    for name, file in (("hostname", "hostname"), ("resolv.conf", "r")):
        if Path("/etc", name).exists():
            controller.machine.run("mount", "--bind", str(controller.root / file), f"/etc/{name}")
        else:
            (controller.root / file).unlink()
    controller.ip("link set e0 mtu 1400 up", "address add 10.0.0.1/24 dev e0", "route add default via 10.0.0.254")
    directory = controller.root / "pair"
    node = controller.root / "fresh.toml"
    made = controller.hagit(
        "init", str(directory), "--controller", "a", "--capture", "--state", str(controller.root / "fresh"),
        "--node", str(node), "--yes",
    )  # fmt: skip
    assert made.code == 0, made
    assert f"hagit --node {node} plan" in made.out
    values = tomllib.loads(node.read_text())
    assert (values["controller"], values["source"]["remotes"]) == ("a", [str(directory)])
    assert controller.hagit("validate", str(directory)).code == 0
    node.write_text(
        node.read_text()
        + f"\n[files]\nhostname = '{controller.root / 'hostname'}'\nresolver = '{controller.root / 'r'}'\n"
    )
    plan = controller.hagit("--node", str(node), "plan", "--detailed-exitcode")
    assert plan.code == 0, plan
    assert "No changes." in plan.out
    again = controller.hagit("init", str(directory), "--node", str(node), "--yes")
    assert again.code == 1
    assert "there is a node file already" in again.err
    unsaid = controller.hagit("init", str(directory), "--controller", "b", "--node", str(node) + "b", "--yes")
    assert (unsaid.code, "whose signatures count" in unsaid.err) == (1, True)
    joined = controller.hagit(
        "init", str(directory), "--controller", "b", "--node", str(node) + "b", "--yes",
        "--signer", str(controller.root / "allowed_signers"),
    )  # fmt: skip
    assert joined.code == 0, joined
    assert joined.out.startswith("Joined")
    assert tomllib.loads(Path(str(node) + "b").read_text())["trust"] == {"allowed_signers": "allowed_signers"}


def test_init_makes_an_example_and_overwrites_nothing(controller: Controller, tmp_path: Path) -> None:
    node = tmp_path / "node.toml"
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").write_text("mine")
    refused = controller.hagit("init", str(full), "--example", "--node", str(node), "--yes")
    assert refused.code == 1
    assert "not empty" in refused.err
    assert [path.name for path in full.iterdir()] == ["file"]
    assert not node.exists()
    made = controller.hagit("init", str(tmp_path / "new"), "--example", "--node", str(node), "--yes")
    assert made.code == 0, made
    text = (tmp_path / "new" / "pair.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=hagit.schema.json")
    assert json.loads((tmp_path / "new" / "hagit.schema.json").read_text())
    checked = controller.hagit("validate", str(tmp_path / "new"))
    assert (checked.code, checked.err) == (0, "")
    log = subprocess.run(["git", "log", "--oneline"], cwd=tmp_path / "new", capture_output=True, text=True, check=True)
    assert len(log.stdout.splitlines()) == 1


def test_init_asks_a_few_questions(controller: Controller, tmp_path: Path) -> None:
    node = tmp_path / "node.toml"
    screen = Screen(controller, "init", str(tmp_path / "new"), "--node", str(node))
    screen.until("Which controller is this, a or b? [a]: ")
    screen.type("b\n")
    screen.until("[/var/lib/hagit]: ")
    screen.type(f"{tmp_path / 'state'}\n")
    screen.until("[capture]: ")
    screen.type("example\n")
    screen.until("[make]: ")
    screen.type("nobody\n")
    assert screen.end() == 0, screen.shown
    assert "every user who can push is root here" in screen.shown
    values = tomllib.loads(node.read_text())
    assert (values["controller"], values["trust"]) == ("b", {"unsigned": "accept"})
    assert "interlink" in (tmp_path / "new" / "pair.yaml").read_text()
    wrong = Screen(controller, "init", str(tmp_path / "other"), "--node", str(tmp_path / "other.toml"))
    wrong.until("[a]: ")
    wrong.type("c\n")
    assert wrong.end() == 1
    assert "a controller is a or b, not 'c'" in wrong.shown
    assert not (tmp_path / "other").exists()


def test_validate_tells_everything_at_once(controller: Controller) -> None:
    good = controller.hagit("validate", str(controller.work.path))
    assert (good.code, good.err) == (0, "")
    assert good.out.startswith("Valid: 1 resources for controllers a and b.") or good.out.startswith(
        "Valid: 1 resource "
    )
    controller.work.write("bad.yaml", STORAGE.replace("/24", "").replace("match", "mach").encode())
    bad = controller.hagit("validate", str(controller.work.path))
    assert bad.code == 1
    assert bad.err.count("bad.yaml:") >= 4
    assert "defects in the desired state" in bad.err
    document = controller.hagit("validate", str(controller.work.path), "-o", "json")
    assert document.code == 1
    assert document.json()["valid"] is False
    assert {complaint["file"] for complaint in document.json()["complaints"]} == {"bad.yaml"}
    assert all(complaint["line"] for complaint in document.json()["complaints"])
    missing = controller.hagit("validate", str(controller.root / "nowhere"))
    assert missing.code == 1
    assert "there is no such directory" in missing.err


def test_explain_and_schema(capsys: pytest.CaptureFixture[str]) -> None:
    for field in ("", "interface", "interface.mtu", "Interface.virtual.vhid", "node"):
        assert run(["explain", field] if field else ["explain"]) == 0
        shown = capsys.readouterr().out
        assert shown.endswith("\n") and not shown.endswith("\n\n\n")
    assert run(["explain", "interface.mtv"]) == 1
    assert "mtu" in capsys.readouterr().err
    assert run(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((ROOT / "schema" / "hagit.schema.json").read_text())


def test_the_page_of_the_node_file_is_a_node_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line of it can be written so."""
    from reconciler.system.node import load_node

    run(["explain", "node"])
    page = capsys.readouterr().out
    lines = [line.strip() for line in page.splitlines() if re.match(r"^  (\[[\w.]+\]|(\w+|\"[^\"]+\") = )", line)]
    value = r"^(\[[\w.]+\]|(?:\w+|\"[^\"]+\") = (?:\"[^\"]*\"|\[[^\]]*\]|\w+)).*$"
    text = "\n".join(re.sub(value, r"\1", line) for line in lines if not line.startswith("listen = false"))
    (tmp_path / "node.toml").write_text(text)
    node = load_node(tmp_path / "node.toml")
    assert node.controller == "a"
    assert node.trust.keyring == tmp_path / "keys.gpg"
    assert node.trust.scopes is not None and node.trust.scopes.of({"net@example.org"}) == {"network"}
    assert ("agent", "fence_ipmilan") in node.power_for
    assert node.listen is not None and node.listen.hook_secret == tmp_path / "hook.secret"


def test_capture_can_be_planned_at_once(controller: Controller) -> None:
    controller.ip(
        "link set e0 mtu 1400 up",
        "address add 10.0.0.1/24 dev e0",
        "link add br0 type bridge",
        "link set br0 up",
        "link set e1 master br0 up",
        "address add 10.1.0.1/24 dev br0",
        "route add 10.90.0.0/16 via 10.0.0.9",
    )
    (controller.root / "hostname").write_text(controller.machine.run("hostname"))
    captured = controller.hagit("capture")
    assert captured.code == 0, captured
    controller.work.commit("As it is", pair__yaml=captured.out)
    plan = controller.hagit("plan", "--detailed-exitcode")
    assert plan.code == 0, plan.out + captured.out
    controller.node.unlink()
    without = controller.hagit("capture")
    assert without.code == 1
    assert "which controller is this?" in without.err
    assert "kind: Pair" in controller.hagit("capture", "--controller", "b").out


def test_a_shell_completes(controller: Controller, tmp_path: Path) -> None:
    """The script in a real bash, with the real command in its path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script(folder / "hagit", f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m reconciler.cli.entry "$@"\n')
    program = (
        f"PATH={folder}:$PATH; source <(hagit completion bash); "
        'try() { COMP_WORDS=(hagit "$@"); COMP_CWORD=$#; COMPREPLY=(); _hagit 2>/dev/null; echo "${COMPREPLY[*]}"; }; '
        "try pl; try plan --det; try plan -o ''; try completion z; try explain interface.mt; try apply x"
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == ["plan", "--detailed-exitcode", "text json", "zsh", "interface.mtu", ""], (
        done.stderr
    )
    for shell, text in SCRIPTS.items():
        assert controller.hagit("completion", shell).out == text
        if subprocess.run(["which", shell], capture_output=True, check=False).returncode == 0:
            subprocess.run([shell, "-n"], input=text, text=True, check=True)


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
