"""An enrolment on real sockets and files: wrong codes, machines that do not belong, and a cut at every point."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reconciler.agent.enrolment_recovery import EnrolmentRemains, finish_enrolment
from reconciler.agent.session import Session
from reconciler.core.peer.enrolment import EnrolmentOutcome, EnrolmentRole
from reconciler.core.peer.offer import Offer, OfferRefusal, refuse_offers
from reconciler.errors import PeerError, PeerErrorCode
from reconciler.system.node import Node, load_node
from reconciler.system.peer.certificate import new_credentials
from reconciler.system.peer.channel import PeerReply, PeerServer
from reconciler.system.peer.code_exchange import (
    Exchange,
    OwnCredentials,
    WrongCode,
    host_exchange,
    join_exchange,
)
from reconciler.system.peer.enrolment_dialog import EnrolmentDialog
from reconciler.system.peer.identity import load_identity
from reconciler.system.peer.message import encode_head
from reconciler.system.peer.pair_secrets import SSH_HOST_KEY, heartbeat_path, shared_directory
from reconciler.system.peer.pending_enrolment import load_pending, pending_path
from reconciler.system.secret import next_path
from tests.ports import kept_port
from tests.wait import DEADLINE_S

CODE = "12345678"


@dataclass
class Result:
    """What one side of an exchange or a dialog came to."""

    exchange: Exchange | None = None
    error: BaseException | None = None
    outcome: EnrolmentOutcome | None = None
    dialog: EnrolmentDialog | None = None


def node_of(root: Path, side: str, port: int = 9724) -> Node:
    root.mkdir(parents=True, exist_ok=True)
    (root / "node.toml").write_text(f"controller = '{side}'\nstate = 'state'\n[peer]\nport = {port}\n")
    return load_node(root / "node.toml")


def own(side: str, pair: str = "shelf") -> OwnCredentials:
    made = new_credentials(f"shelf-{side}")
    return OwnCredentials(Offer(side, f"SERIAL-{side.upper()}", pair, made.certificate, "1.0"), made.key)


def judge_of(mine: OwnCredentials) -> Callable[[Offer], OfferRefusal | None]:
    return lambda other: refuse_offers(mine.offer, other, {})


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def exchanged(
    host: OwnCredentials,
    joiner: OwnCredentials,
    code: str = CODE,
    ends: tuple[socket.socket, socket.socket] | None = None,
) -> tuple[Result, Result]:
    """Both sides of the exchange of a code."""
    results = Result(), Result()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far, near = ends or (socket.create_connection(listener.getsockname()), listener.accept()[0])

        def run() -> None:
            try:
                results[0].exchange = host_exchange(near, CODE, host, judge_of(host))
            except (PeerError, OSError) as error:
                results[0].error = error

        thread = in_thread(run)
        try:
            results[1].exchange = join_exchange(far, code, joiner, judge_of(joiner))
        except (PeerError, OSError) as error:
            results[1].error = error
        thread.join(DEADLINE_S)
    return results


def enrolled(
    nodes: tuple[Node, Node],
    *,
    ends: tuple[socket.socket, socket.socket] | None = None,
    says: tuple[bool, bool] = (True, True),
    replaces: bool = False,
) -> tuple[Result, Result]:
    """A whole enrolment of the host and the joiner."""
    mine = own("a"), own("b")
    results = exchanged(*mine, ends=ends)
    roles = EnrolmentRole.HOST, EnrolmentRole.JOINER
    threads = []
    for at, result in enumerate(results):
        if result.exchange is None:
            continue
        result.dialog = EnrolmentDialog(
            nodes[at], roles[at], mine[at], result.exchange, name="shelf", replaces=replaces and at == 0
        )

        def run(result: Result = result, dialog: EnrolmentDialog = result.dialog, yes: bool = says[at]) -> None:
            result.outcome = dialog.run(yes)

        threads.append(in_thread(run))
    for thread in threads:
        thread.join(DEADLINE_S)
    return results


@pytest.fixture
def nodes(tmp_path: Path) -> tuple[Node, Node]:
    return node_of(tmp_path / "a", "a"), node_of(tmp_path / "b", "b")


def test_both_show_the_same_words_and_have_the_same_secrets(nodes: tuple[Node, Node]) -> None:
    host, joiner = enrolled(nodes)
    assert host.exchange is not None and joiner.exchange is not None
    assert host.exchange.words == joiner.exchange.words and len(host.exchange.words) == 4
    assert (host.outcome, joiner.outcome) == (EnrolmentOutcome.ENROLLED, EnrolmentOutcome.ENROLLED)
    identities = [load_identity(node) for node in nodes]
    assert identities[0] is not None and identities[1] is not None
    assert identities[0].peer_certificates == (identities[1].certificate,)
    assert identities[1].peer_certificates == (identities[0].certificate,)
    assert identities[0].peer_serial == "SERIAL-B" and identities[0].peer_addresses == ("127.0.0.1",)
    for file in (heartbeat_path, lambda node: shared_directory(node) / SSH_HOST_KEY):
        a, b = (file(node) for node in nodes)
        assert a.read_bytes() == b.read_bytes()
        assert a.stat().st_mode & 0o077 == 0
    assert not any(pending_path(node).exists() for node in nodes)


@pytest.mark.parametrize("has", [0, 1])
def test_a_secret_that_one_has_already_goes_to_the_other_one(nodes: tuple[Node, Node], has: int) -> None:
    heartbeat_path(nodes[has]).write_text("s" * 40 + "\n")
    heartbeat_path(nodes[has]).chmod(0o600)
    enrolled(nodes)
    assert heartbeat_path(nodes[1 - has]).read_bytes().strip() == b"s" * 40


def test_two_different_secrets_stay_as_they_are_and_are_told(nodes: tuple[Node, Node]) -> None:
    for node, letter in zip(nodes, "xy", strict=True):
        heartbeat_path(node).write_text(letter * 40)
        heartbeat_path(node).chmod(0o600)
    _, joiner = enrolled(nodes)
    assert joiner.dialog is not None and "another heartbeat secret" in joiner.dialog.notes[0]
    assert heartbeat_path(nodes[1]).read_text() == "y" * 40


def test_a_replacement_gets_a_new_heartbeat_secret_that_the_lost_one_does_not_know(nodes: tuple[Node, Node]) -> None:
    heartbeat_path(nodes[0]).write_text("s" * 40)
    heartbeat_path(nodes[0]).chmod(0o600)
    host, _ = enrolled(nodes, replaces=True)
    assert host.dialog is not None and "hagit enroll --rotate" in host.dialog.notes[0]
    new = heartbeat_path(nodes[1]).read_bytes().strip()
    assert new != b"s" * 40 and next_path(heartbeat_path(nodes[0])).read_bytes().strip() == new
    assert heartbeat_path(nodes[0]).read_text() == "s" * 40


def test_a_unit_that_comes_back_keeps_its_secret_and_accepts_the_new_one(nodes: tuple[Node, Node]) -> None:
    """It was set up again, and has a heartbeat secret: a change of it takes steps on both."""
    for node in nodes:
        heartbeat_path(node).write_text("s" * 40)
        heartbeat_path(node).chmod(0o600)
    enrolled(nodes, replaces=True)
    following = [next_path(heartbeat_path(node)).read_bytes() for node in nodes]
    assert following[0] == following[1]
    assert [heartbeat_path(node).read_text() for node in nodes] == ["s" * 40] * 2


def test_a_wrong_code_is_one_for_both() -> None:
    host, joiner = exchanged(own("a"), own("b"), "12345679")
    assert isinstance(host.error, WrongCode) and isinstance(joiner.error, WrongCode)
    assert host.exchange is None and joiner.exchange is None


@pytest.mark.parametrize(
    ("joiner", "what"),
    [
        (own("a"), "both controllers are controller a"),
        (own("b", "other"), "belongs to"),
        (replace(own("b"), offer=replace(own("b").offer, certificate=b"x")), "cannot be used"),
    ],
)
def test_offers_that_do_not_go_together_are_refused_before_the_code(joiner: OwnCredentials, what: str) -> None:
    host, there = exchanged(own("a"), joiner)
    assert isinstance(host.error, PeerError) and not isinstance(host.error, WrongCode) and what in host.error.what
    assert there.exchange is None


def test_a_certificate_without_its_key_gets_no_connection() -> None:
    """A machine that knows the code, and shows the certificate of another one."""
    stolen = replace(own("b"), key=own("b").key)
    host, _ = exchanged(own("a"), stolen)
    assert host.exchange is None and host.error is not None


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\2{}\0\0\0\0", encode_head({"offer": 5, "share": ""})]
)
def test_a_machine_that_says_something_else_costs_no_guess(data: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as far:
        far.sendall(data)
        far.shutdown(socket.SHUT_WR)
        with pytest.raises((PeerError, OSError)) as caught:
            host_exchange(listener.accept()[0], CODE, own("a"), lambda other: None)
    assert not isinstance(caught.value, WrongCode)


class CutWire:
    """A wire between two sockets that breaks after `parts` pieces, in both directions together."""

    def __init__(self, parts: int) -> None:
        self.carried = 0
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.far = socket.create_connection(listener.getsockname())
            self._a = listener.accept()[0]
            self._b = socket.create_connection(listener.getsockname())
            self.near = listener.accept()[0]
        self._parts = parts
        self._thread = in_thread(self._run)

    def _run(self) -> None:
        with self._a, self._b, contextlib.suppress(OSError):
            while self.carried < self._parts:
                for sock in select.select([self._a, self._b], [], [])[0]:
                    data = sock.recv(65_536)
                    if not data:
                        return
                    (self._b if sock is self._a else self._a).sendall(data)
                    self.carried += 1
                    if self.carried >= self._parts:
                        return


def test_a_cut_anywhere_leaves_nothing_half(tmp_path: Path) -> None:
    for parts in range(30):
        nodes = node_of(tmp_path / f"{parts}a", "a"), node_of(tmp_path / f"{parts}b", "b")
        wire = CutWire(parts)
        host, joiner = enrolled(nodes, ends=(wire.far, wire.near))
        here, there = (load_identity(node) for node in nodes)
        if there is not None:
            assert here is not None and there.peer_certificates == (here.certificate,), parts
        if here is not None:
            pending = load_pending(nodes[1])
            kept = there or (pending.identity if pending is not None else None)
            assert kept is not None and here.peer_certificates == (kept.certificate,), parts
            assert host.outcome in (EnrolmentOutcome.ENROLLED, EnrolmentOutcome.PEER_UNKNOWN)
        else:
            assert not pending_path(nodes[0]).exists()
        assert pending_path(nodes[1]).exists() == (joiner.outcome is EnrolmentOutcome.IN_DOUBT), parts
        # Repeating it ends well, whatever was left.
        if here is None and parts % 5 == 0:
            again = enrolled(nodes)
            assert [one.outcome for one in again] == [EnrolmentOutcome.ENROLLED] * 2, parts
        if joiner.outcome is EnrolmentOutcome.ENROLLED and wire.carried < parts:
            return
    raise AssertionError("no wire was long enough")


def test_a_cut_at_the_last_message_is_finished_by_the_hosts_agent(tmp_path: Path) -> None:
    with kept_port() as held:
        port = held.getsockname()[1]
        for parts in range(40):
            nodes = node_of(tmp_path / f"{parts}a", "a", port), node_of(tmp_path / f"{parts}b", "b", port)
            wire = CutWire(parts)
            _, joiner = enrolled(nodes, ends=(wire.far, wire.near))
            if joiner.outcome is not EnrolmentOutcome.IN_DOUBT:
                continue
            committed = load_identity(nodes[0])
            with Session(nodes[1].path) as session:
                assert finish_enrolment(session) is EnrolmentRemains.UNKNOWN
                # A stranger that answers there does not count, and a host that has not committed refuses.
                server = PeerServer(
                    committed or other_identity(), ["127.0.0.1"], port, {"hello": lambda _: PeerReply()}
                )
                try:
                    remains = finish_enrolment(session)
                finally:
                    server.close()
            assert remains is (EnrolmentRemains.COMMITTED if committed else EnrolmentRemains.DISCARDED)
            assert (load_identity(nodes[1]) is not None) is (committed is not None)
            assert not pending_path(nodes[1]).exists()
            if committed:
                return
    raise AssertionError("no cut left the joiner in doubt")


def other_identity():
    from tests.system.peer.identities import two_identities

    return two_identities()[0]


@pytest.mark.parametrize("says", [(True, False), (False, True), (False, False)])
def test_a_no_at_either_controller_keeps_nothing(nodes: tuple[Node, Node], says: tuple[bool, bool]) -> None:
    for result in enrolled(nodes, says=says):
        assert result.outcome not in (None, EnrolmentOutcome.ENROLLED)
    assert [load_identity(node) for node in nodes] == [None, None]
    assert not any(pending_path(node).exists() for node in nodes)


@pytest.mark.parametrize("full", [0, 1])
def test_a_full_disk_on_one_side_keeps_nothing(nodes: tuple[Node, Node], full: int) -> None:
    # A directory in the place of the file: it cannot be written, not even by root.
    pending_path(nodes[full]).mkdir(parents=True)
    results = enrolled(nodes)
    outcomes = [result.outcome for result in results]
    assert outcomes[full] is EnrolmentOutcome.FAILED_HERE and outcomes[1 - full] is EnrolmentOutcome.FAILED_THERE
    other = results[1 - full].dialog
    assert other is not None and other.failure is not None and "Is a directory" in other.failure.what
    assert load_identity(nodes[1 - full]) is None and not pending_path(nodes[1 - full]).exists()


def test_a_newer_release_that_needs_a_newer_reader_is_told_so() -> None:
    head = b'{"version":9,"least":9,"offer":{}}'
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as far:
        far.sendall(len(head).to_bytes(4) + head + bytes(4))
        with pytest.raises(PeerError) as caught:
            host_exchange(listener.accept()[0], CODE, own("a"), lambda other: None)
    assert caught.value.code is PeerErrorCode.VERSION
