"""`hagit backup` and `hagit restore`: real files, real keys, and every reason to refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyrage
import pytest

from tests.cli.screen import Screen
from tests.controller import Controller, Done
from tests.system.servers import make_key

PASSPHRASE = "correct horse battery staple"


class Saved:
    """A controller with a secret of each kind, and an identity of age."""

    def __init__(self, controller: Controller) -> None:
        self.controller, self.root = controller, controller.root
        self.identity = self.root.parent / "identity.txt"
        made = pyrage.x25519.Identity.generate()
        self.recipient = str(made.to_public())
        self.identity.write_text(f"# public key: {self.recipient}\n{made}\n")
        self.identity.chmod(0o600)
        self.file = self.root.parent / "a.age"
        self.files = {
            "pair.secret": "s" * 64, "pair.secret.next": "n" * 64, "chap/vm": "c" * 16, "signers": "x\n",
            "serial": "A1-0001\n", "state/peer/identity.json": "{}", "state/peer/shared/key": "k",
        }  # fmt: skip
        for name, text in self.files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o644 if name == "signers" else 0o600)
        self.write_node()

    def write_node(self, letter: str = "a", more: str = "") -> None:
        self.controller.letter = letter
        self.controller.write_node(
            watchdog=f"secret = 'pair.secret'\nshelf = 'disks:/dev/disk/by-id'\nrun = '{self.root}/run'"
        )
        text = self.controller.node.read_text().replace("[files]", f"[files]\nserial = '{self.root}/serial'")
        text = text.replace("[trust]", "[trust]\nrevoked_keys = 'signers'") + "[chap]\nvm = 'chap/vm'\n" + more
        self.controller.node.write_text(text)

    def backup(self, *arguments: str) -> Done:
        return self.controller.hagit("backup", str(self.file), *(arguments or ("--to", self.recipient)))

    def restore(self, *arguments: str) -> Done:
        return self.controller.hagit(
            "restore", str(self.file), "-i", str(self.identity), "--yes", "--outside", *arguments
        )

    def content(self) -> dict[str, str]:
        """Every file by its name."""
        names = (*self.files, "node.toml")
        return {name: (self.root / name).read_text() for name in names if (self.root / name).exists()}

    def leftovers(self) -> list[str]:
        return [
            str(path) for path in self.root.rglob("*") if "before-restore" in path.name or path.name.startswith(".pair")
        ]


@pytest.fixture
def saved(controller: Controller) -> Saved:
    return Saved(controller)


def test_what_was_lost_is_put_back(controller: Controller, saved: Saved) -> None:
    before = saved.content()
    done = saved.backup()
    assert done.code == 0 and "7 files of controller a" in done.out, done
    assert saved.file.stat().st_mode & 0o777 == 0o600 and b"ssss" not in saved.file.read_bytes()
    for name in saved.files:
        if name != "serial":
            (saved.root / name).unlink()
    shutil.rmtree(saved.root / "state")
    controller.node.unlink()
    done = saved.restore()
    assert done.code == 0 and done.out.count("new  ") == 7, done
    assert saved.content() == before and saved.leftovers() == []
    modes = {name: (saved.root / name).stat().st_mode & 0o777 for name in saved.files}
    assert modes["pair.secret"] == modes["state/peer/shared/key"] == 0o600 and modes["signers"] == 0o644
    assert (saved.root / "state/peer").stat().st_mode & 0o077 == 0
    again = saved.restore()
    assert again.code == 0 and "nothing to do" in again.out, again


def test_what_changes_is_shown_and_asked(controller: Controller, saved: Saved) -> None:
    assert saved.backup().code == 0
    old = saved.content()
    (saved.root / "pair.secret").write_text("t" * 64)
    (saved.root / "pair.secret.next").unlink()
    (saved.root / "pair.secret.previous").write_text("s" * 64)
    (saved.root / "state/peer/shared/more").write_text("m")
    changed = saved.content()
    refused = controller.hagit("restore", str(saved.file), "-i", str(saved.identity), "--outside")
    assert (refused.code, "Nothing was restored" in refused.err, saved.content() == changed) == (1, True, True)
    for line in ("replaced  ", "removed   ", "new       ", "unchanged "):
        assert line in refused.out, refused
    assert saved.restore().code == 0
    assert saved.content() == old
    assert not (saved.root / "pair.secret.previous").exists() and not (saved.root / "state/peer/shared/more").exists()


def test_another_machine_controller_or_pair_is_refused(controller: Controller, saved: Saved) -> None:
    controller.apply()
    assert saved.backup().code == 0
    before = saved.content()
    (saved.root / "serial").write_text("A1-0002\n")
    refused = saved.restore()
    assert refused.code == 1 and "serial number 'A1-0001', and this one has 'A1-0002'" in refused.err, refused
    (saved.root / "serial").unlink()
    assert "this one says none" in saved.restore().err
    (saved.root / "serial").write_text("A1-0001\n")
    saved.write_node("b")
    refused = saved.restore()
    assert refused.code == 1 and "it is of controller a, and this is b" in refused.err, refused
    saved.write_node("a")
    controller.work.commit(
        pair__yaml=(controller.work.path / "pair.yaml").read_text().replace("name: shelf}", "name: other}")
    )
    controller.apply()
    (saved.root / "pair.secret").write_text("t" * 64)
    refused = saved.restore()
    assert refused.code == 1 and "of the pair 'shelf', and this is 'other'" in refused.err, refused
    done = saved.restore("--as-replacement")
    assert done.code == 0 and "warning: it is of the pair" in done.out and saved.content() == before, done


def test_nothing_is_restored_under_a_running_daemon(controller: Controller, saved: Saved) -> None:
    assert saved.backup().code == 0
    before = saved.content()
    controller.start_agent()
    controller.until_applied(controller.work.git("rev-parse", "HEAD"))
    refused = saved.restore()
    assert (refused.code, "the agent runs" in refused.err) == (1, True), refused
    assert "systemctl stop hagit-watchdog hagit-agent" in refused.err and saved.content() == before


def test_a_passphrase_is_typed(controller: Controller, saved: Saved) -> None:
    assert "a passphrase is typed on a terminal" in controller.hagit("backup", str(saved.file)).err

    def answered(command: str, *answers: str) -> tuple[int, str]:
        screen = Screen(controller, command, str(saved.file), *(["--outside", "--yes"] if command == "restore" else []))
        for number, answer in enumerate(answers):
            screen.until(("Passphrase of the backup: ", "The same again: ")[number])
            screen.type(f"{answer}\n")
        return screen.end(), screen.shown

    code, shown = answered("backup", PASSPHRASE, PASSPHRASE + "x")
    assert code == 1 and "two passphrases" in shown and not saved.file.exists()
    code, shown = answered("backup", "short", "short")
    assert code == 1 and "less than 12 characters" in shown and not saved.file.exists()
    code, shown = answered("backup", PASSPHRASE, PASSPHRASE)
    assert code == 0 and PASSPHRASE not in shown, shown
    code, shown = answered("restore", "wrong horse battery staple")
    assert code == 1 and "the passphrase is another one" in shown, shown
    (saved.root / "pair.secret").unlink()
    code, shown = answered("restore", PASSPHRASE)
    assert code == 0 and (saved.root / "pair.secret").read_text() == "s" * 64, shown


def test_files_and_keys_that_do_not_fit(controller: Controller, saved: Saved, tmp_path: Path) -> None:
    key = make_key(tmp_path / "ssh")
    assert saved.backup("--to", str(key.with_suffix(".pub")), "--to", saved.recipient).code == 0
    assert "there already" in saved.backup().err
    assert controller.hagit("restore", str(saved.file), "-i", str(key), "--yes", "--outside").code == 0
    whole = saved.file.read_bytes()
    other = tmp_path / "other"
    other.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    other.chmod(0o600)
    refused = controller.hagit("restore", str(saved.file), "-i", str(other), "--yes")
    assert (refused.code, "no identity fits" in refused.err) == (1, True), refused
    other.chmod(0o644)
    assert "other users may read this identity" in controller.hagit("restore", str(saved.file), "-i", str(other)).err
    assert "name the file of its identity" in controller.hagit("restore", str(saved.file)).err
    for damaged in (whole[:-1], whole[:200], whole[:-20] + bytes(20)):
        saved.file.write_bytes(damaged)
        refused = saved.restore()
        assert (refused.code, "damaged or cut short" in refused.err) == (1, True), refused
    saved.file.write_bytes(b"PK\x03\x04")
    assert "no file in the age format" in saved.restore().err
    saved.file.unlink()
    assert "there is no such file" in saved.restore().err
    assert "is neither an age recipient" in saved.backup("--to", "bob").err and not saved.file.exists()


def test_a_hostile_backup_writes_nowhere_else(controller: Controller, saved: Saved) -> None:
    """A person who knows the recipient can make one: what it names outside is left out, and no link is followed."""
    assert saved.backup().code == 0
    identity = pyrage.x25519.Identity.from_str(saved.identity.read_text().split()[-1])
    document = json.loads(pyrage.decrypt(saved.file.read_bytes(), [identity]))
    target = saved.root.parent / "elsewhere" / "authorized_keys"
    target.parent.mkdir()
    document["files"].append({"place": "outside", "name": str(target), "content": "eA=="})
    saved.file.write_bytes(pyrage.encrypt(json.dumps(document).encode(), [identity.to_public()]))
    command = ("restore", str(saved.file), "-i", str(saved.identity), "--yes")
    for entry in document["files"]:
        if entry["place"] == "configuration" and entry["name"] == "chap/vm":
            entry["content"] = "eA=="
    saved.file.write_bytes(pyrage.encrypt(json.dumps(document).encode(), [identity.to_public()]))
    shutil.rmtree(saved.root / "chap")
    (saved.root / "chap").symlink_to(target.parent)
    before = saved.content()
    refused = controller.hagit(*command, "--as-replacement")
    assert refused.code == 1 and "a symbolic link stands here" in refused.err, refused
    assert saved.content() == before and not list(target.parent.iterdir())
    (saved.root / "chap").unlink()
    done = controller.hagit(*command)
    assert done.code == 0 and f"left out  {target}" in done.out and not target.exists(), done


def test_a_failure_in_the_middle_changes_nothing(controller: Controller, saved: Saved) -> None:
    assert saved.backup().code == 0
    (saved.root / "pair.secret").write_text("t" * 64)
    shutil.rmtree(saved.root / "state/peer/shared")
    before = saved.content()
    # A directory that may not be written to, also not by root.
    peer = str(saved.root / "state/peer")
    controller.machine.run("mount", "--bind", peer, peer)
    controller.machine.run("mount", "-o", "remount,bind,ro", peer)
    refused = saved.restore()
    controller.machine.run("umount", peer)
    assert refused.code == 1 and "Read-only file system" in refused.err, refused
    assert saved.content() == before and saved.leftovers() == []
