"""A rotation led by one controller over the channel: new keys and a new heartbeat secret, cut anywhere and repeated."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from reconciler.agent.peer_service import PeerService
from reconciler.agent.session import Session
from reconciler.errors import PeerError, PeerErrorCode
from reconciler.system.files import Lock
from reconciler.system.node import Node, load_node
from reconciler.system.peer.certificate import new_credentials
from reconciler.system.peer.identity import load_identity, peer_directory, write_identity
from reconciler.system.peer.pair_secrets import PairSecrets, completed_secrets
from reconciler.system.peer.pending_enrolment import PendingEnrolment, pending_path, store_pending
from reconciler.system.secret import next_path, previous_path
from tests.agent.test_peer_service import Heads, ask, enrol, heads
from tests.wait import until

__all__ = ["heads"]


@pytest.fixture
def nodes(heads: Heads) -> Iterator[tuple[Node, Node]]:
    """Both controllers enrolled, with watchdogs that do not run, and their agents' services."""
    enrol(heads)
    loaded = []
    for path in (heads.a, heads.b):
        (path.parent / "pair.secret").write_text("s" * 40 + "\n")
        (path.parent / "pair.secret").chmod(0o600)
        text = path.read_text() + "\n[watchdog]\nsecret = 'pair.secret'\nshelf = 'simulated:x'\nrun = 'run'\n"
        path.write_text(text)
        loaded.append(load_node(path))
    with contextlib.ExitStack() as stack:
        for node in loaded:
            service = PeerService(node)
            service.start()
            stack.callback(service.close)
        until(lambda: isinstance(ask(heads.a), dict) and isinstance(ask(heads.b), dict))
        yield loaded[0], loaded[1]


def fits(a: Node, b: Node) -> None:
    """Each accepts the other's certificate and no other one."""
    one, other = load_identity(a), load_identity(b)
    assert one is not None and other is not None
    assert one.peer_certificates == (other.certificate,) and other.peer_certificates == (one.certificate,)
    assert not one.next_key and not other.next_key


def test_new_keys_and_a_new_secret(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    before = load_identity(a), load_identity(b)
    with Session(a.path) as session:
        session.rotate_certificates()
        fits(a, b)
        number = session.rotate_secret()
    after = load_identity(a), load_identity(b)
    assert all(old and new and old.certificate != new.certificate for old, new in zip(before, after, strict=True))
    files = [node.watchdog.secret for node in nodes if node.watchdog is not None]
    assert files[0].read_bytes() == files[1].read_bytes() and b"sss" not in files[0].read_bytes()
    assert number and not any(path(file).exists() for file in files for path in (next_path, previous_path))
    # And the other way round.
    with Session(b.path) as session:
        session.rotate_certificates()
    fits(a, b)


@pytest.mark.parametrize("after", range(4))
def test_a_rotation_that_was_cut_is_repeated(nodes: tuple[Node, Node], after: int) -> None:
    """The leader dies after each of its steps: offered, switched to its new key, peer switched, both confirmed."""
    a, b = nodes
    identity, made = load_identity(a), new_credentials("shelf-a")
    assert identity is not None
    with Session(a.path) as session:
        client = session.peer
        assert client is not None
        theirs = bytes.fromhex(client.ask("rotate-offer", {"certificate": made.certificate.hex()}).body["certificate"])
        if after > 0:
            pins = (*identity.peer_certificates, theirs)
            own = replace(identity, key=made.key, certificate=made.certificate, peer_certificates=pins)
            write_identity(a, own)
        if after > 1:
            # Read anew: the client shows the new key.
            client = session.peer
            assert client is not None
            client.ask("rotate-use", {})
        if after > 2:
            until(lambda: client.ask("hello", {}) and client.certificate == theirs)
            client.ask("rotate-drop", {})
    with Session(a.path) as session:
        session.rotate_certificates()
    fits(a, b)


def test_the_old_certificate_cannot_drop_the_new_one(nodes: tuple[Node, Node]) -> None:
    made = new_credentials("shelf-a")
    with Session(nodes[0].path) as session:
        assert session.peer is not None
        session.peer.ask("rotate-offer", {"certificate": made.certificate.hex()})
        with pytest.raises(PeerError, match="shows its old certificate"):
            session.peer.ask("rotate-drop", {})
        with pytest.raises(PeerError, match="cannot be used"):
            session.peer.ask("rotate-offer", {"certificate": "00"})
        with pytest.raises(PeerError) as caught:
            session.peer.ask("rotate-secret", {"step": "tell"})
        assert caught.value.code is PeerErrorCode.UNKNOWN_REQUEST
        assert session.peer.ask("hello", {}).body["side"] == "b"


def test_the_agent_finishes_an_enrolment_that_was_cut(nodes: tuple[Node, Node]) -> None:
    """The joiner has stored, the host has committed, and the last message was lost."""
    a, b = nodes
    here, there = load_identity(a), load_identity(b)
    assert here is not None and there is not None
    made = new_credentials("shelf-b")
    renewed = replace(there, key=made.key, certificate=made.certificate)
    write_identity(a, replace(here, peer_certificates=(made.certificate,)))
    with Lock(peer_directory(b) / "enroll.lock", "hagit enroll"):
        # While the command runs, the agent leaves it alone.
        store_pending(b, PendingEnrolment(renewed, completed_secrets(PairSecrets(), "shelf"), joiner=True))
        assert pending_path(b).exists()
    until(lambda: not pending_path(b).exists())
    kept = load_identity(b)
    assert kept is not None and kept.certificate == made.certificate
