"""`hagit init`: from nothing to an applied network, its questions, and what it never overwrites."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

from reconciler.cli.application import COMMANDS
from tests.cli.screen import Screen
from tests.controller import Controller, interface

STORAGE = interface("storage0", "10.0.0.1/24", nic="e0")
NAMES = [name for name, *_ in COMMANDS]


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


def test_init_makes_the_folder_of_a_pair_in_a_fleet(controller: Controller, tmp_path: Path) -> None:
    directory, node = tmp_path / "fleet", tmp_path / "node.toml"
    init = ("init", str(directory), "--example", "--state", str(tmp_path / "state"), "--yes", "--node")
    wrong = controller.hagit(*init, str(node), "--path", "../pair")
    assert wrong.code == 1 and "'../pair' is no folder of a repository" in wrong.err and not directory.exists()
    made = controller.hagit(*init, str(node), "--path", "pairs/north")
    assert made.code == 0 and f"edit {directory}/pairs/north/*.yaml" in made.out, made
    assert tomllib.loads(node.read_text())["source"] == {"remotes": [str(directory)], "path": "pairs/north"}
    text = (directory / "pairs/north/pair.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=../../hagit.schema.json")
    assert controller.hagit("validate", "--path", "pairs/north", str(directory)).code == 0
    plan = controller.hagit("--node", str(node), "plan")
    assert "pairs/north/pair.yaml" in plan.out + plan.err, plan


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
    assert "everyone who can push is root here" in screen.shown
    values = tomllib.loads(node.read_text())
    assert (values["controller"], values["trust"]) == ("b", {"unsigned": "accept"})
    assert "interlink" in (tmp_path / "new" / "pair.yaml").read_text()
    wrong = Screen(controller, "init", str(tmp_path / "other"), "--node", str(tmp_path / "other.toml"))
    wrong.until("[a]: ")
    wrong.type("c\n")
    assert wrong.end() == 1
    assert "a controller is a or b, not 'c'" in wrong.shown
    assert not (tmp_path / "other").exists()
