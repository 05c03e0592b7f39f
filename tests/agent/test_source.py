"""The running agent follows its source: real repositories, remotes, signatures, refusals and the ways out."""

from __future__ import annotations

import hashlib
import hmac
import shutil
import signal
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from reconciler.agent.source.selector import FETCH_S
from reconciler.agent.source.trust_policy import hosts_for_credentials, trust_policy_in_force
from reconciler.agent.store import AcceptedHistory
from reconciler.core.facts.settings import SourcePolicy
from reconciler.system.node import FirstSource, load_node
from tests.agent.receivers import secret
from tests.agent.signing import Signing
from tests.controller import Controller, Done, interface, resource
from tests.system.repositories import Work
from tests.system.servers import https_server
from tests.wait import until

STORAGE = interface("storage0", "10.0.0.1/24", nic="e0")
HEAL = resource("Alerting", "alerts", "{drift: {default: heal}}")


def source(controller: Controller, more: str, *remotes: str) -> str:
    """YAML of a Source."""
    listed = ", ".join(f"'{remote}'" for remote in remotes or (str(controller.work.path),))
    return resource("Source", "source", f"{{remotes: [{listed}], {more}}}")


def clone(work: Work, path: Path) -> Work:
    """A bare copy of a repository."""
    work.git("clone", "-q", "--bare", str(work.path), str(path))
    return Work(path)


def test_a_commit_is_applied(controller: Controller) -> None:
    controller.start_agent()
    controller.until_applied(controller.work.git("rev-parse", "HEAD"))
    commit = controller.work.commit("Storage", net__yaml=STORAGE)
    controller.until_applied(commit)
    assert controller.addresses("e0") == {"10.0.0.1/24"}
    assert (controller.root / "hostname").read_text().strip() == "shelf-a"
    assert controller.machine.run("hostname").strip() == "shelf-a"
    status = controller.hagit("status")
    assert f"main@{commit[:7]} is in force; live state matches." in status.out
    assert "running (pid" in status.out
    document = controller.hagit("status", "-o", "json").json()
    assert document["well"] is True
    assert document["agent"] is True
    assert document["applied"]["commit"] == commit
    history = controller.hagit("history").out
    assert "Storage" in history
    assert controller.agents[0].stop() == 0
    assert controller.logs() == ""


def test_a_revision_waits_for_an_operator_when_the_source_says_so(controller: Controller) -> None:
    """The first revision is applied by the agent; from then on the Source resource decides."""
    first = controller.work.commit("By hand", net__yaml=STORAGE + source(controller, "unsigned: accept, apply: manual"))
    controller.start_agent()
    controller.until_applied(first)
    second = controller.work.commit("More", net__yaml=STORAGE.replace("10.0.0.1/", "10.0.0.2/")
                                    + source(controller, "unsigned: accept, apply: manual"))  # fmt: skip
    alert = controller.until_alert("revision-waits")
    assert alert["commit"] == second
    assert "waits for an operator" in alert["summary"]
    assert controller.in_force() == first
    # The waiting revision is not in force: drift is still measured against the old address.
    assert controller.hagit("drift").code == 0
    # The revision in force decides, so a commit cannot let itself in.
    third = controller.work.commit("Let me in", net__yaml=STORAGE.replace("10.0.0.1/", "10.0.0.2/")
                                   + source(controller, "unsigned: accept, apply: automatic"))  # fmt: skip
    until(lambda: controller.status().get("head") == third)
    assert controller.in_force() == first
    assert controller.addresses("e0") == {"10.0.0.1/24"}
    controller.apply()
    controller.until_alert("revision-waits", "resolved")
    assert controller.addresses("e0") == {"10.0.0.2/24"}


def test_a_defective_commit_keeps_the_last_good_one_and_the_next_goes_through(controller: Controller) -> None:
    good = controller.work.commit("Storage", net__yaml=STORAGE)
    controller.start_agent()
    controller.until_applied(good)
    bad = controller.work.commit("A mistake", net__yaml=STORAGE.replace("/24", ""))
    alert = controller.until_alert("revision-refused")
    assert "net.yaml:6" in alert["summary"]
    assert controller.in_force() == good
    assert controller.addresses("e0") == {"10.0.0.1/24"}
    status = until(lambda: controller.status() if controller.status().get("refusal") else None)
    assert status["head"] == bad
    shown = controller.hagit("status").out
    assert "refused" in shown
    assert "net.yaml:6" in shown
    for command in ("plan", "apply"):
        refused = controller.hagit(command)
        assert refused.code == 1
        assert "net.yaml:6:" in refused.err
    # The last good one goes on being watched and healed by hand: drift still answers.
    assert controller.hagit("drift").code == 0
    mended = controller.work.commit("Mended", net__yaml=STORAGE.replace("10.0.0.1/", "10.0.0.3/"))
    controller.until_applied(mended)
    controller.until_alert("revision-refused", "resolved")
    assert controller.addresses("e0") == {"10.0.0.3/24"}


def test_a_rewound_branch_is_refused_until_a_person_accepts_it(controller: Controller) -> None:
    first = controller.work.commit("Storage", net__yaml=STORAGE)
    second = controller.work.commit("More", net__yaml=STORAGE.replace("10.0.0.1/", "10.0.0.2/"))
    controller.start_agent()
    controller.until_applied(second)
    controller.work.git("reset", "-q", "--hard", first)
    alert = controller.until_alert("revision-refused")
    assert "was rewound" in alert["summary"]
    assert f"hagit accept-history {first}" in alert["remedy"]
    other = controller.work.commit("Another second", net__yaml=STORAGE.replace("10.0.0.1/", "10.0.0.4/"))
    until(lambda: other in str(controller.status().get("refusal")), controller.status)
    assert "was replaced" in controller.hagit("status").out
    assert controller.in_force() == second
    assert controller.addresses("e0") == {"10.0.0.2/24"}
    unasked = controller.hagit("accept-history", other)
    assert (unasked.code, "add --yes" in unasked.err) == (1, True)
    wrong = controller.hagit("accept-history", "--yes", first)
    assert wrong.code == 1
    assert f"is not the tip of main, which is {other}" in wrong.err
    accepted = controller.hagit("accept-history", "--yes", other[:9])
    assert accepted.code == 0, accepted
    assert "Another second" in accepted.out
    controller.until_applied(other)
    controller.until_alert("revision-refused", "resolved")
    assert controller.addresses("e0") == {"10.0.0.4/24"}


def test_only_the_signed_commits_of_trusted_people_are_applied(controller: Controller) -> None:
    keys = Signing(controller)
    controller.write_node(trust=f"allowed_signers = '{keys.signers}'")
    good = keys.commit("ada", "Signed", STORAGE)
    controller.start_agent()
    controller.until_applied(good)
    assert "signed by ada@example.org" in controller.hagit("status").out
    plan = controller.hagit("plan", "-o", "json").json()
    assert plan["actions"] == []
    tries = (
        ("", "is not signed"),
        ("stranger", "signed by a key that nobody trusted"),
        ("old", "expired"),
    )
    for name, _ in tries:
        text = STORAGE.replace("10.0.0.1/", "10.0.0.9/")
        bad = keys.commit(name, f"By {name or 'nobody'}", text) if name else controller.work.commit("x", net__yaml=text)
        until(lambda bad=bad: bad[:7] in str(controller.status().get("refusal")), controller.status)
        refused = controller.hagit("plan")
        assert refused.code == 1
        print(refused.err)
        assert bad[:7] in refused.err
        assert controller.in_force() == good
        assert controller.addresses("e0") == {"10.0.0.1/24"}
        controller.work.git("reset", "-q", "--hard", good)
        until(lambda: not controller.status().get("refusal"), controller.status)
    kinds = {(kind, status) for kind, status, _ in controller.alerts()}
    assert kinds == {("revision-refused", "firing"), ("revision-refused", "resolved")}
    # The signer's key in the repository itself counts nothing, a good signature on top of a bad one neither.
    (controller.work.path / "allowed_signers").write_text((keys.folder / "stranger.pub").read_text())
    keys.commit("stranger", "Vouch for myself", STORAGE)
    on_top = keys.commit("ada", "On top", STORAGE.replace("10.0.0.1/", "10.0.0.8/"))
    until(lambda: controller.status().get("refusal"), controller.status)
    assert controller.in_force() == good
    accepted = controller.hagit("accept-history", "--yes", on_top)
    assert accepted.code == 0, accepted
    controller.until_applied(on_top)


def test_remotes_are_tried_in_order(controller: Controller) -> None:
    mirror = clone(controller.work, controller.root / "mirror.git")
    dead = controller.root / "dead.git"
    controller.write_node(source=f"remotes = ['{dead}', '{mirror.path}']")
    controller.start_agent()
    controller.until_applied(controller.work.git("rev-parse", "HEAD"))
    alert = controller.until_alert("source-unreachable")
    assert str(dead) in alert["summary"]
    assert "another remote answers" in alert["summary"]
    newer = controller.work.commit("Storage", net__yaml=STORAGE)
    controller.work.git("push", "-q", str(mirror.path), "main")
    controller.until_applied(newer)
    assert str(dead) in controller.hagit("status").out


def test_without_a_source_it_goes_on_with_the_last_good_revision(controller: Controller) -> None:
    commit = controller.work.commit("Storage", net__yaml=STORAGE + HEAL)
    controller.start_agent()
    controller.until_applied(commit)
    assert controller.agents[0].stop() == 0
    hidden = controller.work.path.rename(controller.root / "hidden")
    controller.ip("address del 10.0.0.1/24 dev e0")
    controller.start_agent()
    controller.until_alert("source-unreachable")
    until(lambda: controller.addresses("e0") == {"10.0.0.1/24"}, controller.logs)
    plan = controller.hagit("plan")
    assert plan.code == 0, plan
    assert "there is no such directory" in plan.err
    assert f"going on with main@{commit[:7]}" in plan.err
    hidden.rename(controller.work.path)
    controller.hagit("apply", "--yes")
    controller.until_alert("source-unreachable", "resolved")


def test_a_remote_that_hangs_holds_up_no_look_at_the_kernel(controller: Controller) -> None:
    """It takes connections and never says a word; drift is found and healed while it is asked."""
    commit = controller.work.commit("Storage", net__yaml=STORAGE + HEAL)
    controller.apply()
    with controller.inside(lambda: socket.create_server(("127.0.0.1", 0))) as mute:
        controller.write_node(source=f"remotes = ['https://127.0.0.1:{mute.getsockname()[1]}/pair.git']")
        controller.start_agent()
        connection, _ = mute.accept()
        with connection:
            until(lambda: controller.status().get("at_s"), controller.logs)
            controller.ip("address del 10.0.0.1/24 dev e0")
            # Before the source has answered or timed out, the revision that should be in force is unknown.
            until(lambda: controller.addresses("e0") == {"10.0.0.1/24"}, controller.logs, timeout_s=FETCH_S - 5)
    assert controller.in_force() == commit


@pytest.fixture
def unwatched(controller: Controller) -> Iterator[str]:
    """The repository behind https, asked once a day: only a nudge makes the agent look. YAML that follows it so."""
    server = https_server(controller.root)
    https = controller.inside(server.__enter__)
    try:
        url = https.url(controller.work.path)
        controller.write_node(
            source=f"remotes = ['{url}']\ncertificate_authorities = '{https.certificate}'",
            listen=f"port = 0\nhook_secret = '{secret(controller.root / 'hook.secret')}'",
        )
        yield STORAGE + source(controller, "unsigned: accept, interval: 24h", url)
    finally:
        server.__exit__(None, None, None)


def test_the_hook_means_look_now(controller: Controller, unwatched: str) -> None:
    first = controller.work.commit("Rarely", net__yaml=unwatched)
    controller.start_agent()
    controller.until_applied(first)
    second = controller.work.commit("More", net__yaml=unwatched.replace("10.0.0.1/", "10.0.0.2/"))
    port = until(lambda: controller.status().get("port"))
    body = b'{"ref": "refs/heads/main"}'
    digest = hmac.new(b"correct-horse-battery-staple", body, hashlib.sha256).hexdigest()

    def ask(path: str, signature: str = "") -> tuple[int, bytes]:
        address = f"http://127.0.0.1:{port}{path}"
        request = urllib.request.Request(address, data=body if signature else None)
        request.add_header("X-Hub-Signature-256", f"sha256={signature}")
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    assert controller.inside(lambda: ask("/hooks/source", "0" * 64))[0] == 401
    assert controller.in_force() == first
    assert controller.inside(lambda: ask("/hooks/source", digest))[0] == 202
    controller.until_applied(second)
    assert controller.inside(lambda: ask("/healthz")) == (200, b"ok\n")
    # The figures are set at the end of the round that applied it.
    until(lambda: f'commit="{second}"'.encode() in controller.inside(lambda: ask("/metrics"))[1])
    assert b'hagit_source_reachable{remote="https://' in (figures := controller.inside(lambda: ask("/metrics"))[1])
    assert any(line.startswith(b"hagit_source_reachable{") and line.endswith(b" 1.0") for line in figures.splitlines())


def test_sighup_means_look_now(controller: Controller, unwatched: str) -> None:
    first = controller.work.commit("Rarely", net__yaml=unwatched)
    agent = controller.start_agent()
    controller.until_applied(first)
    second = controller.work.commit("More", net__yaml=unwatched.replace("10.0.0.1/", "10.0.0.2/"))
    agent.process.send_signal(signal.SIGHUP)
    controller.until_applied(second)


def test_the_agent_notices_an_apply_by_hand(controller: Controller, unwatched: str) -> None:
    """What a person applied is in force; the agent that was not told by the source does not undo it."""
    first = controller.work.commit("Rarely", net__yaml=unwatched)
    controller.start_agent()
    controller.until_applied(first)
    second = controller.work.commit("More", net__yaml=unwatched.replace("10.0.0.1/", "10.0.0.2/"))
    controller.apply()
    until(lambda: (controller.status().get("revision") or {}).get("commit") == second, controller.status)
    assert controller.in_force() == second
    assert controller.addresses("e0") == {"10.0.0.2/24"}
    assert [line["what"] for line in controller.lines("history.jsonl")] == ["applied", "applied"]
    assert controller.alerts() == []


def test_a_rollback_blocks_the_commit_until_another_comes(controller: Controller) -> None:
    first = controller.work.commit("Storage", net__yaml=STORAGE)
    controller.start_agent()
    controller.until_applied(first)
    second = controller.work.commit("A bad idea", net__yaml=STORAGE.replace("10.0.0.1/", "10.0.0.2/"))
    controller.until_applied(second)
    unasked = controller.hagit("rollback")
    assert unasked.code == 1
    assert "Nothing was rolled back: there is no terminal to ask on; add --yes." in unasked.err
    assert f"Rolling back to main@{first[:7]} (Storage)" in unasked.out
    done = controller.hagit("rollback", "--yes")
    assert done.code == 0, done
    assert controller.in_force() == first
    assert controller.addresses("e0") == {"10.0.0.1/24"}
    until(lambda: controller.status().get("blocked"), controller.status)
    status = controller.hagit("status").out
    assert f"{second[:7]}: rolled back to main@{first[:7]}" in status
    plan = controller.hagit("plan", "--detailed-exitcode")
    assert plan.code == 0, plan
    assert "is blocked" in plan.err
    # A drift check and an event later it is still the old one.
    controller.ip("address del 10.0.0.1/24 dev e0")
    controller.until_alert("drift")
    assert controller.in_force() == first
    # A defective commit does not bring back what was rolled back.
    defective = controller.work.commit("A mistake", net__yaml=STORAGE.replace("/24", ""))
    until(lambda: (controller.status().get("head") == defective) and controller.status().get("refusal"))
    assert controller.in_force() == first
    assert controller.status()["blocked"]["commit"] == second
    third = controller.work.commit("A better idea", net__yaml=STORAGE.replace("10.0.0.1/", "10.0.0.3/"))
    controller.until_applied(third)
    assert controller.addresses("e0") == {"10.0.0.3/24"}
    until(lambda: not controller.status().get("blocked"), controller.status)
    history = [line["what"] for line in controller.lines("history.jsonl")]
    assert history == ["applied", "applied", "rolled back", "applied"]


def test_rollback_puts_back_what_no_stamp_remembers(controller: Controller) -> None:
    first = controller.work.commit("Storage", net__yaml=STORAGE)
    controller.apply()
    controller.work.commit("Jumbo", net__yaml=interface("storage0", "10.0.0.1/24", nic="e0", mtu=9000))
    controller.apply()
    assert controller.mtu("e0") == 9000
    done = controller.hagit("rollback", first[:7], "--yes")
    assert done.code == 0, done
    assert controller.mtu("e0") == 1500
    missing = controller.hagit("rollback", "0123456", "--yes")
    assert missing.code == 1
    assert "0123456" in missing.err


def test_after_a_reboot_everything_is_made_again(make_controller: Callable[..., Controller]) -> None:
    """The same state directory, another network namespace: what was applied is in force no more."""
    before = make_controller("before")
    commit = before.work.commit("Storage", net__yaml=STORAGE)
    before.start_agent()
    before.until_applied(commit)
    assert before.agents[0].stop() == 0
    after = make_controller("after")
    for name in ("state", "repository"):
        shutil.rmtree(after.root / name, ignore_errors=True)
        shutil.copytree(before.root / name, after.root / name)
    status = after.hagit("status")
    assert "was applied before the last boot and is not in force" in status.out
    after.write_node(source=f"remotes = ['{after.work.path}']")
    after.start_agent()
    until(lambda: after.addresses("e0") == {"10.0.0.1/24"}, after.logs)
    until(lambda: [line["what"] for line in after.lines("history.jsonl")] == ["applied", "restored"], after.logs)
    assert not [kind for kind, *_ in after.alerts() if kind == "drift"]


def test_after_a_reboot_what_a_person_applied_is_made_again_without_the_source(
    make_controller: Callable[..., Controller],
) -> None:
    """New revisions wait for a person; the network of this controller does not, nor for a remote that is gone."""
    before = make_controller("before")
    text = STORAGE + source(before, "unsigned: accept, apply: manual")
    first = before.work.commit("By hand", net__yaml=text)
    before.apply()
    before.work.commit("Waits", net__yaml=text.replace("10.0.0.1/", "10.0.0.2/"))
    before.hagit("plan")
    after = make_controller("after")
    shutil.copytree(before.state, after.state)
    shutil.rmtree(before.work.path)
    after.start_agent()
    until(lambda: after.addresses("e0") == {"10.0.0.1/24"}, after.logs)
    assert after.in_force() == first
    after.until_alert("revision-waits")


def rests(pid: int) -> None:
    """Wait until a process has used next to no processor time for a while: it is in no loop."""

    def ticks() -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def used_little() -> bool:
        before = ticks()
        threading.Event().wait(0.5)
        return ticks() - before <= 3

    until(used_little)


def test_a_lost_mirror_is_fetched_again_and_reported(controller: Controller) -> None:
    commit = controller.work.commit("Storage", net__yaml=STORAGE + HEAL)
    controller.apply()
    hidden = controller.work.path.rename(controller.root / "hidden")
    for name in ("mirror.git", "compiled"):
        shutil.rmtree(controller.state / name)
    agent = controller.start_agent()
    alert = controller.until_alert("state-damaged")
    assert commit[:7] in alert["summary"]
    assert agent.process.poll() is None
    rests(agent.process.pid)
    hidden.rename(controller.work.path)
    agent.process.send_signal(signal.SIGHUP)
    controller.until_alert("state-damaged", "resolved")
    controller.ip("address del 10.0.0.1/24 dev e0")
    until(lambda: controller.addresses("e0") == {"10.0.0.1/24"}, controller.logs)


def test_two_agents_on_one_state_directory(controller: Controller) -> None:
    controller.start_agent()
    controller.until_applied(controller.work.git("rev-parse", "HEAD"))
    second: Done = controller.hagit("agent")
    assert second.code == 1
    assert "locked by hagit agent (pid" in second.err
    assert controller.agents[0].process.poll() is None


def test_once_looks_once(controller: Controller) -> None:
    controller.work.commit("Storage", net__yaml=STORAGE)
    done = controller.hagit("agent", "--once")
    assert (done.code, done.err) == (0, "")
    assert controller.addresses("e0") == {"10.0.0.1/24"}


def test_an_empty_repository_says_what_to_do(controller: Controller) -> None:
    shutil.rmtree(controller.work.path)
    controller.work.path.mkdir()
    controller.work.git("init", "-q", "-b", "main")
    controller.start_agent()
    alert = controller.until_alert("source-unreachable")
    assert "the repository is empty: it has no commit yet" in alert["summary"]
    plan = controller.hagit("plan")
    assert plan.code == 1
    assert "the repository is empty" in plan.err
    controller.until_applied(controller.work.commit("Begin", pair__yaml=PAIR_A))
    controller.until_alert("source-unreachable", "resolved")


PAIR_A = "apiVersion: hagit/v1\nkind: Pair\nmetadata: {name: shelf}\nspec: {a: {hostname: shelf-a}}\n"


@pytest.mark.parametrize("branch", ["trunk", "release/1"])
def test_another_branch(controller: Controller, branch: str) -> None:
    controller.work.git("checkout", "-q", "-b", branch)
    commit = controller.work.commit("Elsewhere", net__yaml=STORAGE)
    controller.write_node(source=f"remotes = ['{controller.work.path}']\nbranch = '{branch}'")
    controller.start_agent()
    controller.until_applied(commit)
    assert f"{branch}@{commit[:7]}" in controller.hagit("status").out


@pytest.mark.parametrize(
    ("remotes", "hosts", "bound"),
    [
        (("https://Git.example.org/a.git", "/srv/pair"), (), {"git.example.org:443"}),
        (("ssh://git@git.example.org:2222/a.git", "git@[fd00::1]:a.git"), (), {"git.example.org:2222", "[fd00::1]:22"}),
        (("/srv/pair",), (), set()),
        (("https://a.example/x.git",), ("b.example", "c.example:8443"),
         {"b.example:443", "b.example:22", "c.example:8443"}),
    ],
)  # fmt: skip
def test_key_and_token_are_for_the_hosts_of_the_node_file(
    remotes: tuple[str, ...], hosts: tuple[str, ...], bound: set[str]
) -> None:
    assert hosts_for_credentials(FirstSource(remotes=remotes, hosts=hosts)) == bound


def test_a_commit_adds_no_host_to_those_of_the_token(controller: Controller) -> None:
    controller.write_node(source=f"remotes = ['{controller.work.path}']\ntoken = 'token'\nhosts = ['git.example.org']")
    source = SourcePolicy(remotes=("https://evil.example/x.git",))
    policy = trust_policy_in_force(load_node(controller.node), AcceptedHistory(policy=asdict(source)))
    bound = frozenset({"git.example.org:443", "git.example.org:22"})
    assert [remote.access.hosts for remote in policy.remotes] == [bound, bound]
