"""The channel on real sockets: who is accepted, what is said when not, and that every client is bounded."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

import pytest

from reconciler.errors import PeerError, PeerErrorCode, StateError
from reconciler.system.peer.certificate import new_credentials
from reconciler.system.peer.channel import Handler, PeerClient, PeerReply, PeerRequest, PeerServer
from reconciler.system.peer.identity import PeerIdentity
from reconciler.system.peer.message import ATTACHMENT_BYTES_MAX, HEAD_BYTES_MAX, encode_greeting, encode_request
from reconciler.system.peer.server import UNPROVEN_MAX
from reconciler.system.peer.tls import tls_context
from tests.system.peer.identities import FUTURE, PAST, two_identities
from tests.wait import until

HOME = "127.0.0.1"
A, B = two_identities()


def fails(request: PeerRequest) -> PeerReply:
    raise StateError("the disk\x1b is full", where="/var/lib/hagit", remedy="free some\nspace")


def breaks(request: PeerRequest) -> PeerReply:
    raise ZeroDivisionError("secret things")


HANDLERS: dict[str, Handler] = {
    "echo": lambda request: PeerReply(request.body, request.attachment),
    "fails": fails,
    "breaks": breaks,
    "grows": lambda request: PeerReply({"text": "x" * HEAD_BYTES_MAX}),
}
Serve = Callable[..., PeerServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with contextlib.ExitStack() as stack:

        def make(identity: PeerIdentity = B, **how: object) -> PeerServer:
            server = PeerServer(identity, [HOME], 0, HANDLERS, **how)
            stack.callback(server.close)
            return server

        yield make


def refused(client: PeerClient, request: str = "echo", **body: object) -> PeerError:
    with pytest.raises(PeerError) as caught:
        client.ask(request, body)
    return caught.value


def test_a_request_and_its_reply(serve: Serve) -> None:
    client = PeerClient(A, [HOME], serve().port)
    reply = client.ask("echo", {"schlüssel": [1, None, "ä"]}, attachment=b"\0" * 3_000_000, timeout_s=30)
    assert reply == PeerReply({"schlüssel": [1, None, "ä"]}, b"\0" * 3_000_000)
    assert client.path == HOME
    assert client.peer_version


@pytest.mark.parametrize(("not_before", "not_after"), [FUTURE, PAST], ids=["1970", "2099"])
def test_the_dates_of_certificates_carry_no_meaning(serve: Serve, not_before: datetime, not_after: datetime) -> None:
    a, b = two_identities(not_before, not_after)
    assert PeerClient(a, [HOME], serve(b).port).ask("echo", {"x": 1}).body == {"x": 1}


def test_the_error_of_a_handler_is_told_with_where_and_remedy(serve: Serve) -> None:
    defects: list[str] = []
    client = PeerClient(A, [HOME], serve(on_defect=defects.append).port)
    error = refused(client, "fails")
    assert (error.code, error.what, error.where, error.remedy) == (
        PeerErrorCode.FAILED,
        "the disk\\u001b is full",
        "/var/lib/hagit",
        "free some\nspace",
    )
    assert not error.sent
    error = refused(client, "breaks")
    assert error.code is PeerErrorCode.FAILED and "secret things" not in str(error)
    assert "request breaks: ZeroDivisionError('secret things') at server.py" in defects[0]
    assert refused(client, "grows").what.startswith("a message to the peer with a body of")
    error = refused(client, "nope\n")
    assert (error.code, "knows no request 'nope\\\\u000a'" in error.what) == (PeerErrorCode.UNKNOWN_REQUEST, True)


def test_nothing_too_long_is_sent(serve: Serve) -> None:
    client = PeerClient(A, [HOME], serve().port)
    assert "a body of" in refused(client, text="x" * HEAD_BYTES_MAX).what
    with pytest.raises(PeerError, match="with an attachment of"):
        client.ask("echo", {}, attachment=b"x" * (ATTACHMENT_BYTES_MAX + 1))


def test_a_third_machine_is_served_by_neither_side(serve: Serve) -> None:
    third = new_credentials("shelf-b")
    stranger = replace(B, key=third.key, certificate=third.certificate)
    error = refused(PeerClient(replace(stranger, side="a", peer_certificates=(B.certificate,)), [HOME], serve().port))
    assert (error.code, error.sent) == (PeerErrorCode.REFUSED, False)
    assert "it does not know our certificate" in error.what
    error = refused(PeerClient(A, [HOME], serve(stranger).port))
    assert error.code is PeerErrorCode.REFUSED
    assert "another machine than the enrolled peer" in error.what and "hagit enroll" in error.remedy


def test_a_stolen_certificate_without_its_key_is_worth_nothing() -> None:
    third = new_credentials("shelf-a")
    with pytest.raises(PeerError, match="cannot be used"):
        tls_context(replace(A, key=third.key), server=False)


def test_a_certificate_that_the_pin_has_signed_is_not_the_pin(serve: Serve) -> None:
    """The pinned key must not work as an authority: only the pinned bytes count."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    from reconciler.system.peer.certificate import NOT_AFTER, NOT_BEFORE

    issuer = load_pem_private_key(A.key.encode(), None)
    assert isinstance(issuer, Ed25519PrivateKey)
    key, name = Ed25519PrivateKey.generate(), x509.load_der_x509_certificate(A.certificate).subject
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, NOT_BEFORE, NOT_AFTER)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    made = replace(A, key=pem, certificate=builder.sign(issuer, None).public_bytes(Encoding.DER))
    assert refused(PeerClient(made, [HOME], serve().port)).code is PeerErrorCode.REFUSED


def test_two_pins_during_a_rotation_and_one_afterwards(serve: Serve) -> None:
    made = new_credentials("shelf-a")
    new = replace(A, key=made.key, certificate=made.certificate)
    server = serve(replace(B, peer_certificates=(A.certificate, made.certificate)))
    for identity in (A, new):
        assert PeerClient(identity, [HOME], server.port).ask("echo", {}).body == {}
    server.set_identity(replace(B, peer_certificates=(made.certificate,)))
    assert refused(PeerClient(A, [HOME], server.port)).code is PeerErrorCode.REFUSED
    assert PeerClient(new, [HOME], server.port).ask("echo", {}).body == {}


def test_old_versions_of_tls_and_clients_without_a_certificate_get_nothing(serve: Serve) -> None:
    port = serve().port
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
    old = tls_context(A, server=False)
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    for context in (bare, old):
        with socket.create_connection((HOME, port), timeout=20) as sock:
            try:
                with context.wrap_socket(sock) as stream:
                    said = stream.recv(1)
            except OSError:
                said = b""
            assert not said


def test_a_peer_that_the_pair_does_not_name_is_refused_on_both_sides(serve: Serve) -> None:
    why = StateError("the Pair names another serial", where="Pair", remedy="enrol the right one")
    error = refused(PeerClient(A, [HOME], serve(refusal=lambda: why).port))
    assert (error.code, error.what, error.where) == (PeerErrorCode.REFUSED, why.what, "Pair")
    error = refused(PeerClient(A, [HOME], serve().port, lambda: why))
    assert (error.code, error.what, error.sent) == (PeerErrorCode.REFUSED, why.what, False)


def test_an_address_that_does_not_answer_costs_little(serve: Serve) -> None:
    server = serve()
    with socket.create_server(("127.0.0.2", server.port)):
        # The first one accepts and says nothing; the second is not even an address of this machine's links.
        client = PeerClient(A, ["fe80::1%none", "127.0.0.3", HOME], server.port)
        assert client.ask("echo", {}).body == {}
    error = refused(PeerClient(A, ["fe80::1%none", "127.0.0.3"], server.port))
    assert (error.code, error.sent) == (PeerErrorCode.UNREACHABLE, False)
    assert "127.0.0.3: Connection refused" in error.what and "fe80::1%none: no such address or link" in error.what
    assert "no address of it is known" in refused(PeerClient(A, [], server.port)).what


def test_silent_clients_are_closed_and_block_none(serve: Serve) -> None:
    server = serve(handshake_s_max=60.0)
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection((HOME, server.port), timeout=20))
            for _ in range(UNPROVEN_MAX + 2)
        ]
        assert silent[0].recv(1) == b""
        assert PeerClient(A, [HOME], server.port).ask("echo", {}, timeout_s=20).body == {}
    quick = serve(handshake_s_max=0.05)
    with socket.create_connection((HOME, quick.port), timeout=20) as sock:
        assert sock.recv(1) == b""


class Impostor:
    """A server with the peer's keys that says `data` after the handshake, in place of what a server says."""

    def __init__(self, *data: bytes) -> None:
        self._listener = socket.create_server((HOME, 0))
        self.port = self._listener.getsockname()[1]
        self._data = data
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        sock, _ = self._listener.accept()
        with tls_context(B, server=True).wrap_socket(sock, server_side=True) as stream:
            for part in self._data:
                stream.sendall(part)
                if part is not self._data[-1]:
                    stream.recv(65_536)

    def close(self) -> None:
        self._thread.join(20)
        self._listener.close()


NEWER = b'{"version": 9, "least": 9}'


@pytest.mark.parametrize(
    ("said", "code", "what"),
    [
        ((b"\xff\xff\xff\xff",), PeerErrorCode.FAILED, "4294967295 bytes"),
        ((b"\0\0\0\1x",), PeerErrorCode.FAILED, "no JSON"),
        ((b"\0\0\0\4NaN \0\0\0\0",), PeerErrorCode.FAILED, "no JSON"),
        ((b"\0\0\0\2[]\0\0\0\0",), PeerErrorCode.FAILED, "no JSON object"),
        ((len(NEWER).to_bytes(4) + NEWER + bytes(4),), PeerErrorCode.VERSION, "speaks version 9"),
        ((encode_greeting("0"), b"\0\0\0\2{}\xff\xff\xff\xff"), PeerErrorCode.FAILED, "4294967295 bytes"),
        ((encode_greeting("0"), b""), PeerErrorCode.UNREACHABLE, "ended before its answer"),
        ((encode_greeting("0"), b'\0\0\0\x0b{"error":1}\0\0\0\0'), PeerErrorCode.FAILED, "no reply"),
    ],
)
def test_what_a_peer_says_is_bounded_and_checked(said: tuple[bytes, ...], code: PeerErrorCode, what: str) -> None:
    impostor = Impostor(*said)
    error = refused(PeerClient(A, [HOME], impostor.port))
    assert (error.code, what in error.what) == (code, True), error
    # A caller must know when the peer may have done what it was asked.
    assert error.sent is (code is PeerErrorCode.UNREACHABLE)
    impostor.close()


def test_a_newer_peer_may_say_more(serve: Serve) -> None:
    server = serve()
    head = b'{"version":9,"least":1,"request":"echo","body":{"x":1},"later":true}'
    sock = socket.create_connection((HOME, server.port), timeout=20)
    with tls_context(A, server=False).wrap_socket(sock) as stream:
        stream.recv(4096)
        stream.sendall(len(head).to_bytes(4) + head + bytes(4))
        assert b'"body":{"x":1}' in stream.recv(4096)
    assert encode_request("echo", {"x": 1}, b"")[4:].startswith(b'{"version":1,"least":1,')


def test_listeners_follow_the_addresses(serve: Serve) -> None:
    server = serve()
    server.set_addresses(["127.0.0.5", "fe80::1%none"])
    until(lambda: server.addresses == ("127.0.0.5",))
    assert server.failures == {"fe80::1%none": "no such address or link here: fe80::1%none"}
    assert PeerClient(A, ["127.0.0.5"], server.port).ask("echo", {}).body == {}
    assert refused(PeerClient(A, [HOME], server.port)).code is PeerErrorCode.UNREACHABLE
