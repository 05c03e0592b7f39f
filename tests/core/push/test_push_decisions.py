"""What a push may do and what is answered, for every answer of the peer and every policy."""

from __future__ import annotations

import pytest

from reconciler.core.facts.settings import AlonePolicy
from reconciler.core.push.agreement import PeerAnswer, PeerVerdict, agreement
from reconciler.core.push.histories import HistoryRelation, relation
from reconciler.core.push.ref_updates import (
    ZERO,
    PushIntent,
    PushPurpose,
    PushRefusal,
    RefUpdate,
    push_intent,
    updates_of,
)
from reconciler.core.push.roles import PushRole, role_refusal
from reconciler.core.push.ssh_command import CommandRefusal, GitService, requested_service

ONE, TWO = "1" * 40, "2" * 40


@pytest.mark.parametrize(
    ("command", "service"),
    [
        ("git-receive-pack '/pair'", GitService.PUSH),
        ("git-receive-pack 'pair.git'", GitService.PUSH),
        ("git receive-pack '/pair.git/'", GitService.PUSH),
        ("git-upload-pack '/pair'", GitService.FETCH),
        ("git-upload-pack /~/pair", GitService.FETCH),
    ],
)
def test_git_is_served(command: str, service: GitService) -> None:
    assert requested_service(command) is service


@pytest.mark.parametrize(
    "command",
    [
        "", "id", "git-receive-pack", "git-receive-pack ''", "git-receive-pack '/pair'; id",
        "git-receive-pack '/pair' x",
        "git-receive-pack '/etc'", "git-receive-pack '../pair'", "git-receive-pack '/pair'\nid", "git-shell",
        "git-upload-archive '/pair'", "git-receive-pack '/pair'\\''x'", "git-receive-pack --x '/pair'", "g" * 10_000,
        "GIT-RECEIVE-PACK '/pair'", "git-upload-pack $(id)", "scp -t /", "internal-sftp",
    ],
)  # fmt: skip
def test_nothing_else_is_served(command: str) -> None:
    assert isinstance(requested_service(command), CommandRefusal)


def test_updates_are_read_from_the_lines_of_a_hook() -> None:
    assert updates_of(f"{ONE} {TWO} refs/heads/main\n") == (RefUpdate(ONE, TWO, "refs/heads/main"),)
    for text in ("", "nonsense", f"{ONE} {TWO}", f"{ONE} {TWO} HEAD", f"{ONE} {TWO[:7]} refs/heads/main", "x\n" * 99):
        assert isinstance(updates_of(text), PushRefusal)


def test_the_followed_branch_and_plans_may_be_pushed() -> None:
    deploy, plan = RefUpdate(ONE, TWO, "refs/heads/main"), RefUpdate(ZERO, TWO, "refs/plan/x")
    assert push_intent((deploy,), "main") == PushIntent(PushPurpose.DEPLOY, deploy)
    assert push_intent((plan,), "main") == PushIntent(PushPurpose.PLAN, plan)


@pytest.mark.parametrize(
    "updates",
    [
        (),
        (RefUpdate(ONE, TWO, "refs/heads/main"), RefUpdate(ZERO, TWO, "refs/plan/x")),
        (RefUpdate(ONE, TWO, "refs/heads/other"),),
        (RefUpdate(ONE, ZERO, "refs/heads/main"),),
        (RefUpdate(ONE, ZERO, "refs/plan/x"),),
        (RefUpdate(ZERO, TWO, "refs/hagit/incoming/x"),),
        (RefUpdate(ZERO, TWO, "refs/tags/main"),),
    ],
)
def test_other_references_may_not(updates: tuple[RefUpdate, ...]) -> None:
    assert isinstance(push_intent(updates, "main"), PushRefusal)


def test_silence_is_accepted_only_by_policy_or_option_and_is_said() -> None:
    for verdict in (PeerVerdict.SILENT, PeerVerdict.OLDER, PeerVerdict.NOT_ENROLLED):
        answer = PeerAnswer(verdict)
        assert not agreement(answer, AlonePolicy.REFUSE, option=False).accepted
        for allowed in (
            agreement(answer, AlonePolicy.ACCEPT, option=False),
            agreement(answer, AlonePolicy.REFUSE, option=True),
        ):
            assert allowed.accepted and not allowed.both and "this controller only" in allowed.text


@pytest.mark.parametrize("policy", list(AlonePolicy))
@pytest.mark.parametrize("option", [False, True])
def test_no_policy_goes_past_an_answer(policy: AlonePolicy, option: bool) -> None:
    for verdict in (PeerVerdict.REFUSED, PeerVerdict.DIFFERENT):
        assert not agreement(PeerAnswer(verdict, "why"), policy, option=option).accepted
    ready = agreement(PeerAnswer(PeerVerdict.READY), policy, option=option)
    assert ready.accepted and ready.both and not ready.text
    single = agreement(PeerAnswer(PeerVerdict.NEEDLESS), policy, option=option)
    assert single.accepted and not single.both and not single.text


def test_every_verdict_of_the_peer_has_an_agreement() -> None:
    for verdict in PeerVerdict:
        agreement(PeerAnswer(verdict), AlonePolicy.REFUSE, option=False)


@pytest.mark.parametrize(
    ("here", "there", "known", "descends", "leads", "found"),
    [
        ("", "", False, False, False, HistoryRelation.EMPTY),
        (ONE, ONE, True, False, False, HistoryRelation.EQUAL),
        ("", ONE, False, False, False, HistoryRelation.BEHIND),
        (ONE, "", False, False, False, HistoryRelation.AHEAD),
        (ONE, TWO, True, True, False, HistoryRelation.BEHIND),
        (ONE, TWO, True, False, True, HistoryRelation.AHEAD),
        (ONE, TWO, True, False, False, HistoryRelation.DIFFERENT),
        (ONE, TWO, False, False, False, HistoryRelation.UNKNOWN),
    ],
)
def test_histories_only_go_forward(
    here: str, there: str, known: bool, descends: bool, leads: bool, found: HistoryRelation
) -> None:
    assert relation(here, there, known=known, descends=descends, leads=leads) is found


def test_the_standby_of_an_active_peer_serves_fetches_only() -> None:
    standby = PushRole(standby=True, addresses=("10.0.0.10", "2001:db8::10"))
    assert role_refusal(GitService.FETCH, standby, "hagit-git", 9722) == ""
    said = role_refusal(GitService.PUSH, standby, "hagit-git", 9722)
    assert "ssh://hagit-git@10.0.0.10:9722/pair" in said and "ssh://hagit-git@[2001:db8::10]:9722/pair" in said
    assert role_refusal(GitService.PUSH, PushRole(), "hagit-git", 9722) == ""
