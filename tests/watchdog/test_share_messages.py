"""Requests and replies about shares as messages: what was sent is read, and what clients wrote is cut and cleaned."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.core.failover.orders.document import orders_key
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.shares.document import shares_body, shares_document
from reconciler.core.shares.ports import ConnectedClient, ServerView, Serving, ShareProblem
from reconciler.core.shares.shares import Protocol, Shares
from reconciler.system.findings import Finding
from reconciler.system.message_stream import FRAME_BYTES_MAX, frame
from reconciler.system.shares.kept_shares import kept_shares, note_serving, noted_serving
from reconciler.watchdog.followed_shares import FollowedShares
from reconciler.watchdog.worker_messages import plain_reply, plain_request, read_reply, read_request
from reconciler.watchdog.worker_protocol import (
    GuardClients,
    GuardStep,
    LookAtShares,
    ServeShares,
    SharesReply,
    StopShares,
    WorkerRequest,
)
from tests.watchdog.test_shares import BOTH, ONE

CHAP = (("vm-in", "/etc/hagit/vm-in"),)
KEY = orders_key(b"k" * 32)


def body_of(shares: Shares) -> bytes:
    body = shares_body(shares_document(shares, KEY), KEY)
    assert isinstance(body, bytes)
    return body


@pytest.mark.parametrize(
    "request_",
    [
        ServeShares("ab" * 32, (Protocol.ISCSI,), CHAP),
        StopShares((Protocol.NFS, Protocol.ISCSI)),
        LookAtShares("ab" * 32, (Protocol.NFS,), CHAP, active=True),
        GuardClients("ab" * 32, GuardStep.RELEASE),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_request_is_read_as_it_was_sent(request_: WorkerRequest) -> None:
    assert read_request(plain_request(request_)) == request_


def test_a_reply_keeps_all_but_the_clients() -> None:
    view = ServerView(
        Serving.PARTLY,
        ("home",),
        (ShareProblem(Protocol.NFS, "mail", "it is missing", "mount it"),),
        (ConnectedClient(Protocol.NFS, "10.0.0.9"),),
        7,
        (("nfsd", 12),),
        (("grace", 1),),
    )
    reply = read_reply(plain_reply(SharesReply(((Protocol.NFS, view),), (Finding("a-code", "a text", "", ""),), 3)))
    assert isinstance(reply, SharesReply)
    ((protocol, read),) = reply.views
    assert (protocol, read.clients, read.clients_count) == (Protocol.NFS, (), 7)
    assert (read.served, read.problems, read.steps_ms) == (view.served, view.problems, view.steps_ms)
    assert (read.figures, reply.findings[0].code, reply.tickled) == (view.figures, "a-code", 3)


def test_the_longest_reply_fits_a_message() -> None:
    hostile = "\x1b[2J\n" * 1_000
    problems = tuple(ShareProblem(Protocol.NFS, hostile, hostile, hostile) for _ in range(5_000))
    view = ServerView(Serving.UP, tuple(f"{hostile}{at}" for at in range(5_000)), problems)
    message = plain_reply(SharesReply(((Protocol.NFS, view), (Protocol.ISCSI, view))))
    assert len(frame({"id": 1, **message})) < FRAME_BYTES_MAX
    reply = read_reply(message)
    assert isinstance(reply, SharesReply)
    assert all(one.text.isprintable() and one.name.isprintable() for one in reply.views[0][1].problems)


def test_the_last_good_shares_stay(tmp_path: Path) -> None:
    followed = FollowedShares(tmp_path, "boot")
    assert not followed.judge("tank") and followed.shares is None and followed.refusal == ""
    followed.set_document(BOTH, body_of(BOTH))
    assert followed.judge("tank") and followed.shares == BOTH
    assert not followed.judge("tank")
    for document, words in (
        (Refused(Refusal.SEAL), "sealed with another secret"),
        (Shares("other"), "the pair other"),
        (None, "is missing"),
    ):
        followed.set_document(document)
        assert not followed.judge("tank")
        assert followed.shares == BOTH and words in followed.refusal
    # The next daemon of this boot reads the copy; one of another boot has none.
    later = FollowedShares(tmp_path, "boot")
    later.set_document(Refused(Refusal.SEAL))
    assert later.judge("tank") and later.shares == BOTH and later.digest == followed.digest
    assert FollowedShares(tmp_path, "next").judge("tank") is False
    kept = kept_shares(tmp_path, "boot")
    assert kept is not None and kept[0] == BOTH
    followed.set_document(ONE, body_of(ONE))
    assert followed.judge("tank") and followed.refusal == ""


def test_which_servers_may_run_is_noted_for_this_boot(tmp_path: Path) -> None:
    assert noted_serving(tmp_path, "boot") == frozenset()
    note_serving(tmp_path, "boot", (Protocol.NFS,))
    assert noted_serving(tmp_path, "boot") == {Protocol.NFS} and noted_serving(tmp_path, "next") == frozenset()
    (tmp_path / "serving").write_text("damaged")
    assert noted_serving(tmp_path, "boot") == frozenset(Protocol)
    note_serving(tmp_path, "boot", ())
    assert noted_serving(tmp_path, "boot") == frozenset()
