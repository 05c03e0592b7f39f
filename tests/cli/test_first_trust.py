"""Trust has no silent default: what `hagit init` makes is followed by signature, and unsigned commits by a warning."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.controller import Controller, interface
from tests.system.servers import make_key

STORAGE = interface("storage0", "10.0.0.1/24", nic="e0")
FILES = "\n[files]\nhostname = 'hostname'\nresolver = 'r'\n[listen]\nport = 0\n"


@pytest.fixture
def init(controller: Controller, tmp_path: Path) -> list[str]:
    """The words of an init of a new repository, beside a node file in a directory of its own."""
    (controller.root / "new").mkdir()
    node, state = controller.root / "new" / "node.toml", controller.root / "new" / "state"
    return ["init", str(tmp_path / "pair"), "--example", "--node", str(node), "--state", str(state), "--yes"]


def git(directory: str, *words: str) -> str:
    """What git says in a repository."""
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(["git", "-C", directory, *identity, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_key_is_made_and_signs_what_is_followed(controller: Controller, init: list[str]) -> None:
    made = controller.hagit(*init)
    assert made.code == 0, made
    node = Path(init[4])
    assert (node.parent / "signing_key").stat().st_mode & 0o777 == 0o600
    assert tomllib.loads(node.read_text())["trust"] == {"allowed_signers": "allowed_signers"}
    node.write_text(node.read_text() + FILES)
    plan = controller.hagit("--node", str(node), "plan")
    assert plan.code == 0, plan
    assert "warning" not in plan.err
    # Git signs by itself from now on; what it does not sign is refused.
    git(init[1], "commit", "-q", "--allow-empty", "-m", "Signed by git")
    assert controller.hagit("--node", str(node), "plan").code == 0
    git(init[1], "commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "Not signed")
    refused = controller.hagit("--node", str(node), "plan")
    assert (refused.code, "is not signed" in refused.err) == (1, True)
    status = controller.hagit("--node", str(node), "status", "-o", "json").json()
    assert status["trust"] is None


@pytest.mark.parametrize("with_private_key", [True, False])
def test_a_key_that_is_there(controller: Controller, init: list[str], tmp_path: Path, with_private_key: bool) -> None:
    key = make_key(tmp_path / "mine")
    if not with_private_key:
        key.unlink()
    made = controller.hagit(*init, "--signer", str(key.with_suffix(".pub")))
    assert made.code == 0, made
    assert ("git commit -S" in made.out) is not with_private_key
    signers = Path(init[4]).parent / "allowed_signers"
    assert 'namespaces="git"' in signers.read_text()
    assert signers.read_text().split()[-1] == key.with_suffix(".pub").read_text().split()[1]
    plan = controller.hagit("--node", init[4], "plan")
    assert (plan.code == 0, "is not signed" in plan.err) == (with_private_key, not with_private_key)


def test_what_is_no_key_is_refused_before_anything_is_made(controller: Controller, init: list[str]) -> None:
    beside = Path(init[4]).parent
    words = beside.parent / "words"
    for text in ("", "hello world", "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n", "ssh-ed25519 A\nssh-ed25519 B\n"):
        words.write_text(text)
        refused = controller.hagit(*init, "--signer", str(words))
        assert refused.code == 1, text
        assert str(words) in refused.err
    both = controller.hagit(*init, "--signer", str(words), "--accept-unsigned")
    assert both.code == 1
    assert not Path(init[1]).exists()
    assert list(beside.iterdir()) == []


def test_an_earlier_key_is_not_overwritten(controller: Controller, init: list[str]) -> None:
    beside = Path(init[4]).parent
    (beside / "signing_key").write_text("precious")
    refused = controller.hagit(*init)
    assert (refused.code, "there is a key already" in refused.err) == (1, True)
    assert (beside / "signing_key").read_text() == "precious"
    assert not Path(init[1]).exists()


WARNING = "everyone who can push to the branch is root on this controller"


@pytest.mark.parametrize("trust", ["unsigned = 'accept'", "unsigned = 'warn'", "# nothing"])
def test_the_warning_stands_until_a_person_says_that_it_is_meant(controller: Controller, trust: str) -> None:
    controller.write_node(trust=trust)
    commit = controller.work.commit("Unsigned", net__yaml=STORAGE)
    controller.start_agent()
    controller.until_applied(commit)
    alert = controller.until_alert("unsigned-accepted")
    assert WARNING in alert["summary"]
    assert 'unsigned = "accept-without-warning"' in alert["remedy"]
    # Also where nothing has to be fetched.
    for _ in range(2):
        assert WARNING in controller.hagit("plan").err
    for columns in ("60", "80", "120"):
        shown = controller.hagit("status", COLUMNS=columns).out
        assert WARNING in " ".join(shown.split())
        ways = [" ".join(way.split()) for way in shown.split("→ ")[1:]]
        assert ways[0] == "name whose signatures count in [trust], allowed_signers (`hagit explain node`)"
        assert ways[1].startswith('if it is meant: unsigned = "accept-without-warning"')
        assert max(map(len, shown.splitlines())) <= int(columns)
    assert WARNING in controller.hagit("status", "-o", "json").json()["trust"]["what"]
    assert controller.agents[0].stop() == 0
    controller.write_node(trust="unsigned = 'accept-without-warning'")
    controller.start_agent()
    controller.until_alert("unsigned-accepted", "resolved")
    assert WARNING not in controller.hagit("plan").err
    assert WARNING not in " ".join(controller.hagit("status").out.split())
