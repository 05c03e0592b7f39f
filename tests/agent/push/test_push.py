"""git push to a controller that hosts the repository of its pair: what is accepted, what is refused, what it says."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.agent.push.conftest import PORT, USER, HostedPair
from tests.controller import PAIR, resource
from tests.system.servers import make_key
from tests.wait import until

ALONE = ("-o", "alone")
BOUND = resource("Source", "source", "{push: {alone: accept}, trustedSigners: [ada@example.org]}")


def accepted(pair: HostedPair, *, key: Path | None = None) -> str:
    """Push to this controller alone, which has to be accepted; the output."""
    done = pair.push("HEAD:main", *ALONE, key=key)
    assert done.code == 0, done.err
    assert pair.tip() == pair.work.git("rev-parse", "HEAD")
    return done.err


def refused(pair: HostedPair, *, refspec: str = "HEAD:main", key: Path | None = None) -> str:
    """Push, which has to be refused and to move nothing; the output."""
    before = pair.tip()
    done = pair.push(refspec, *ALONE, key=key)
    assert done.code != 0, done.err
    assert pair.tip() == before
    return done.err


def test_a_push_is_judged_planned_kept_and_applied(hosted: HostedPair) -> None:
    head = hosted.work.git("rev-parse", "HEAD")
    done = hosted.push("HEAD:main", *ALONE)
    assert done.code == 0, done.err
    assert "Plan for controller a at main@" in done.err
    assert "accepted on this controller only, as -o alone asks" in done.err
    assert f"this controller has main@{head[:7]} on disk; the peer does not have it yet" in done.err
    assert hosted.tip() == head
    hosted.controller.until_applied(head)
    alert = hosted.controller.until_alert("peer-lacks-commits")
    assert head[:12] in alert["summary"]


def test_without_the_peer_and_without_the_option_a_push_is_refused(hosted: HostedPair) -> None:
    done = hosted.push()
    assert done.code != 0
    assert "push.alone refuses that" in done.err and "git push -o alone" in done.err
    assert hosted.tip() == ""


def test_a_policy_in_force_accepts_what_the_peer_cannot_take(hosted: HostedPair) -> None:
    hosted.work.commit("Accept alone", pair__yaml=PAIR + BOUND)
    accepted(hosted)
    hosted.controller.until_applied(hosted.tip())
    hosted.work.commit("Another", note__yaml="")
    done = hosted.push()
    assert done.code == 0 and "as push.alone allows" in done.err


def test_complaints_name_file_line_and_column(hosted: HostedPair) -> None:
    hosted.work.commit("A mistake", pair__yaml=PAIR.replace("shelf-b", "shelf_b"))
    assert "pair.yaml:6:" in refused(hosted)
    hosted.work.commit("The correction", pair__yaml=PAIR)
    accepted(hosted)


def test_a_commit_without_a_trusted_signature_is_refused(hosted: HostedPair) -> None:
    hosted.work.git("-c", "commit.gpgSign=false", "commit", "-q", "--allow-empty", "-m", "unsigned")
    assert "no signature that is trusted here" in refused(hosted)


def test_a_stranger_is_not_let_in(hosted: HostedPair) -> None:
    assert "Permission denied (publickey)" in refused(hosted, key=make_key(hosted.controller.root / "eve"))


def test_a_key_of_the_revision_in_force_lets_in_and_signs_nothing(hosted: HostedPair) -> None:
    ben = make_key(hosted.controller.root / "ben", comment="ben@example.org")
    public = json.dumps(ben.with_suffix(".pub").read_text().strip())
    spec = f"{{push: {{keys: [{public}]}}, trustedSigners: [ada@example.org]}}"
    hosted.work.commit("Let Ben push", pair__yaml=PAIR + resource("Source", "source", spec))
    accepted(hosted)
    blob = public.split()[1]
    until(lambda: blob in (hosted.directory / "authorized_keys").read_text())
    hosted.work.git("config", "user.signingKey", str(ben))
    hosted.work.commit("By Ben")
    assert "no signature that is trusted here" in refused(hosted, key=ben)
    hosted.work.git("config", "user.signingKey", str(hosted.key))
    hosted.work.git("commit", "-q", "--amend", "--allow-empty", "-m", "By Ada", "-S")
    accepted(hosted, key=ben)


def test_other_references_and_rewound_branches_are_refused(hosted: HostedPair) -> None:
    accepted(hosted)
    first = hosted.tip()
    assert "refs/heads/other is not served here" in refused(hosted, refspec="HEAD:refs/heads/other")
    assert "refs/tags/v1 is not served here" in refused(hosted, refspec="HEAD:refs/tags/v1")
    refused(hosted, refspec="HEAD:refs/hagit/incoming/x")
    refused(hosted, refspec=":main")
    hosted.work.git("commit", "-q", "--amend", "-m", "another history")
    refused(hosted, refspec="+HEAD:main")
    assert hosted.tip() == first


def test_a_plan_moves_nothing_and_succeeds(hosted: HostedPair) -> None:
    accepted(hosted)
    before = hosted.tip()
    hosted.work.commit("Rename", pair__yaml=PAIR.replace("shelf-a", "north-a"))
    done = hosted.push("HEAD:refs/plan/rename")
    assert done.code == 0, done.err
    assert "north-a" in done.err and "planned only, nothing was changed" in done.err
    assert hosted.tip() == before and hosted.tip("plan/rename") == ""
    assert hosted.push("HEAD:refs/plan/rename").code == 0
    hosted.work.commit("A mistake", pair__yaml="nonsense")
    assert "pair.yaml:1:1" in refused(hosted, refspec="HEAD:refs/plan/mistake")


def test_a_push_to_a_fleet_names_the_tip_and_the_state_of_the_pair(make_hosted: Callable[..., HostedPair]) -> None:
    pair = make_hosted()
    node = pair.controller.node
    node.write_text(node.read_text().replace("[source]\n", "[source]\npath = 'pairs/north'\n"))
    pair.start()
    heads = []
    for name in ("north", "south"):
        pair.work.write(f"pairs/{name}/pair.yaml", PAIR.encode())
        pair.work.git("add", "-A")
        pair.work.git("commit", "-q", "-m", name)
        heads.append(pair.work.git("rev-parse", "HEAD")[:7])
        said = accepted(pair)
        assert f"main@{heads[-1]} is good on this controller" in said
        assert f"controller a at main@{heads[0]}" in said or f"Live state matches main@{heads[0]}" in said, said
        pair.controller.until_applied(pair.work.git("rev-parse", "HEAD" if name == "north" else "HEAD~1"))
    assert f"{heads[1]} changes nothing in pairs/north: this pair stays at main@{heads[0]}" in said.replace("  ", "")


def test_the_account_runs_nothing_else(hosted: HostedPair) -> None:
    def ask(*words: str) -> str:
        done = hosted.run(*hosted.ssh(), f"-p{PORT}", f"{USER}@127.0.0.1", *words)
        assert done.code != 0
        return done.err

    assert "there is no shell here" in ask()
    assert "runs no commands" in ask("id")
    assert "runs no commands" in ask("git-receive-pack '/pair'; id")
    assert "no repository of that name" in ask("git-upload-pack '/etc'")
    assert "no repository of that name" in ask("git-receive-pack '../pair.git'")
    assert "runs no commands" in ask("git-upload-archive '/pair'")
    forward = hosted.run(*hosted.ssh(None, "-N", "-oExitOnForwardFailure=yes", "-R", "9999:127.0.0.1:22"),
                         f"-p{PORT}", f"{USER}@127.0.0.1")  # fmt: skip
    assert forward.code != 0 and "forwarding failed" in forward.err
    done = hosted.run("sftp", *hosted.ssh()[1:], f"-P{PORT}", f"{USER}@127.0.0.1")
    assert done.code != 0


def test_a_tree_with_a_link_or_a_submodule_and_a_large_push_are_refused(hosted: HostedPair) -> None:
    work = hosted.work
    (work.path / "link.yaml").symlink_to("/etc/passwd")
    work.commit("A link")
    assert "a symlink" in refused(hosted)
    work.git("rm", "-q", "link.yaml")
    work.git("update-index", "--add", "--cacheinfo", f"160000,{work.git('rev-parse', 'HEAD')},module")
    work.git("commit", "-q", "-m", "A submodule")
    assert "a submodule" in refused(hosted)
    work.git("reset", "-q", "--hard", "HEAD~2")
    noise = subprocess.run(["head", "-c", "17825792", "/dev/urandom"], capture_output=True, check=True).stdout
    work.write("noise.bin", noise)
    work.commit("17 MiB")
    assert "maximum allowed size" in refused(hosted)


def test_a_pack_bomb_is_refused(hosted: HostedPair) -> None:
    hosted.work.write("zeros.yaml", bytes(300 << 20))
    hosted.work.commit("A bomb")
    said = refused(hosted)
    assert "MiB" in said or "memory" in said or "signal" in said, said


def test_two_pushes_at_once_leave_one(make_hosted: Callable[..., HostedPair]) -> None:
    pair = make_hosted()
    pair.start()
    accepted(pair)
    base = pair.tip()
    commits = []
    for name in ("one", "two"):
        pair.work.git("reset", "-q", "--hard", base)
        commits.append(pair.work.commit(name))
    pushes = [pair.begin_push(f"{commit}:main", *ALONE) for commit in commits]
    said = [push.communicate(timeout=60)[1].decode() for push in pushes]
    codes = [push.returncode for push in pushes]
    assert sorted(codes) == [0, 1], said
    assert pair.tip() == commits[codes.index(0)]
    assert "commits that the peer lacks" not in said


def test_a_push_while_the_agent_is_away_changes_nothing(hosted: HostedPair) -> None:
    accepted(hosted)
    hosted.controller.agents[-1].stop()
    hosted.work.commit("Later")
    assert "agent does not answer" in refused(hosted)
    clone = hosted.run("git", "clone", "-q", hosted.url(), str(hosted.controller.root / "clone"))
    assert clone.code == 0, clone.err
    assert (hosted.controller.root / "clone/pair.yaml").read_text() == PAIR
