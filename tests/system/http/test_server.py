import contextlib
import hashlib
import hmac
import http.client
import itertools
import socket
import time

import pytest

from reconciler.agent.metrics import Metrics
from reconciler.errors import NodeFileError
from reconciler.system.http.server import (
    BODY_BYTES_MAX,
    CONNECTION_COUNT_MAX,
    POLL_INTERVAL_S,
    HttpEndpoints,
    HttpServer,
    parse_listen_address,
)
from reconciler.system.http.webhook_signatures import sign_webhook

SECRET = b"correct-horse-battery-staple"


class Health:
    def __init__(self):
        self.why = ""

    def __call__(self):
        return self.why


@pytest.fixture
def health():
    return Health()


@pytest.fixture
def listener(secret_file, waiting, health):
    metrics = Metrics("tank", "a")
    poll_source = lambda: waiting(time.monotonic())  # noqa: E731
    pages = HttpEndpoints(metrics.render, metrics.content_type, health, poll_source, str(secret_file))
    listening = HttpServer("127.0.0.1:0", pages)
    listening.start()
    yield listening
    listening.close()


def ask(listener, method, path, body=b"", headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=10)
    connection.request(method, path, body=body, headers=headers or {})
    with connection.getresponse() as answer:
        result = answer.status, answer.read().decode()
    connection.close()
    return result


def digest(body):
    return hmac.new(SECRET, body, hashlib.sha256).hexdigest()


BODY = b'{"ref": "refs/heads/main"}'
SIGNED = {
    "github": {"X-Hub-Signature-256": f"sha256={digest(BODY)}"},
    "gitlab": {"x-gitlab-token": SECRET.decode()},
    "gitea": {"X-Gitea-Signature": digest(BODY)},
    "forgejo": {"X-Forgejo-Signature": digest(BODY)},
    "hagit": {},
}
FORGED = {
    "nobody": {},
    "github": {"X-Hub-Signature-256": f"sha256={digest(b'other')}"},
    "github, old": {"X-Hub-Signature": "sha1=" + "0" * 40},
    "github, bare": {"X-Hub-Signature-256": digest(BODY)},
    "gitlab": {"X-Gitlab-Token": "guess"},
    "gitlab, empty": {"X-Gitlab-Token": ""},
    "gitea": {"X-Gitea-Signature": ""},
    "hagit, replayed": {"X-Hagit-Signature": sign_webhook(BODY, SECRET, int(time.time()) - 4000)},
    "wrong first": {"X-Hub-Signature-256": "sha256=0", "X-Gitlab-Token": SECRET.decode()},
}


@pytest.mark.parametrize("host", SIGNED)
def test_a_signed_request_polls_the_source(listener, waiting, host):
    # A signature with a time in it does not keep until a long run of tests comes here.
    headers = SIGNED[host] or {"X-Hagit-Signature": sign_webhook(BODY, SECRET, int(time.time()))}
    assert ask(listener, "POST", "/hooks/source", BODY, headers) == (202, "looking\n")
    waiting.until(lambda got: len(got) == 1)


@pytest.mark.parametrize("case", FORGED)
def test_an_unsigned_request_is_refused(listener, waiting, case):
    status, _ = ask(listener, "POST", "/hooks/source", BODY, FORGED[case])
    assert status == 401
    assert waiting.got == []


def test_many_requests_become_two(listener, waiting):
    """The first at once, one for all that came meanwhile; more only if asking took longer than that."""
    begin_s = time.monotonic()
    for _ in range(20):
        asked_s = time.monotonic()
        assert ask(listener, "POST", "/hooks/source", BODY, SIGNED["gitlab"])[0] == 202
    took_s = time.monotonic() - begin_s
    polls = waiting.until(lambda got: len(got) >= 2 and got[-1] >= asked_s)
    assert len(polls) <= 2 + took_s / POLL_INTERVAL_S
    assert all(later - earlier >= POLL_INTERVAL_S for earlier, later in itertools.pairwise(polls))


def test_the_pages(listener, health):
    status, text = ask(listener, "GET", "/metrics")
    assert status == 200
    assert 'hagit_build_info{controller="a",pair="tank"' in text
    assert ask(listener, "GET", "/healthz") == (200, "ok\n")
    health.why = "no look for 90 s"
    assert ask(listener, "GET", "/healthz") == (503, "no look for 90 s\n")
    assert ask(listener, "GET", "/etc/passwd")[0] == 404
    assert ask(listener, "POST", "/metrics")[0] == 404
    assert ask(listener, "DELETE", "/metrics")[0] == 501


def test_bodies_are_bounded(listener, waiting):
    headers = {"X-Gitlab-Token": SECRET.decode()}
    assert ask(listener, "POST", "/hooks/source", b"x" * BODY_BYTES_MAX, headers)[0] == 202
    assert ask(listener, "POST", "/hooks/source", b"x" * (BODY_BYTES_MAX + 1), headers)[0] == 413
    assert ask(listener, "POST", "/hooks/source", b"", {**headers, "Content-Length": "9" * 30})[0] == 413
    assert ask(listener, "POST", "/hooks/source", b"", {**headers, "Content-Length": "-1"})[0] == 411
    assert ask(listener, "POST", "/hooks/source", iter([b"x"]), headers)[0] == 411


@pytest.mark.parametrize(("line", "count", "answer"), [(b"X: y", 3_000, b"431"), (b"X: " + b"y" * 1_000, 30, b"")])
def test_headers_are_bounded(listener, line, count, answer):
    with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\n" + (line + b"\r\n") * count)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(65_536)[9:12] == answer
    assert ask(listener, "GET", "/healthz")[0] == 200


def test_an_unusable_secret_admits_no_request(listener, secret_file, waiting):
    secret_file.chmod(0o644)
    status, text = ask(listener, "POST", "/hooks/source", BODY, SIGNED["gitlab"])
    assert status == 500
    assert str(secret_file) not in text
    assert waiting.got == []


def test_without_a_secret_there_is_no_hook(waiting):
    listening = HttpServer("[::1]:0", HttpEndpoints(bytes, "text/plain", str, lambda: waiting(1)))
    listening.start()
    with socket.create_connection(("::1", listening.port), timeout=10) as client:
        client.sendall(b"POST /hooks/source HTTP/1.0\r\nX-Gitlab-Token: \r\nContent-Length: 0\r\n\r\n")
        assert b" 404 " in client.recv(65_536)
    listening.close()
    assert waiting.got == []


def test_silent_clients_block_no_other(listener):
    """However many they are: the oldest of the busiest client is closed for one that asks."""
    place = ("127.0.0.1", listener.port)
    quiet = socket.create_connection(place, timeout=20, source_address=("127.0.0.2", 0))
    silent = [socket.create_connection(place, timeout=20) for _ in range(CONNECTION_COUNT_MAX - 1)]
    for _ in range(5):
        assert ask(listener, "GET", "/healthz")[0] == 200
    assert silent[0].recv(1) == b""
    quiet.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert b" 200 " in quiet.recv(65_536)
    for client in (quiet, *silent):
        client.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9723", 200), ("[::1]:9723", 200), ("10.0.0.11", 200), ("localhost:1", 200), ("STORAGE-A", 200),
        ("storage-a.example.org.", 200), ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("", 421),
        ("localhost.evil.example", 421), ("storage-a.evil.example", 421), ("[evil]", 421),
    ],
)  # fmt: skip
def test_pages_are_shown_under_our_own_names_only(host, status):
    names = frozenset({"storage-a", "storage-a.example.org"})
    listening = HttpServer("127.0.0.1:0", HttpEndpoints(bytes, "text/plain", str, lambda: None, hosts=lambda: names))
    listening.start()
    for path in ("/metrics", "/healthz"):
        assert ask(listening, "GET", path, headers={"Host": host})[0] == status
    listening.close()


def test_a_client_that_trickles_is_cut_off(secret_file):
    listening = HttpServer("127.0.0.1:0", HttpEndpoints(bytes, "text/plain", str, lambda: None), request_s_max=0.5)
    listening.start()
    begin_s = time.monotonic()
    with socket.create_connection(("127.0.0.1", listening.port), timeout=0.05) as client:
        ended = False
        while not ended:
            assert time.monotonic() - begin_s < 20
            try:
                client.sendall(b"G")
                ended = client.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                ended = True
    assert time.monotonic() - begin_s >= 0.4
    listening.close()


def test_an_address_that_is_taken_is_named(listener):
    with pytest.raises(NodeFileError, match="Address already in use") as caught:
        HttpServer(f"127.0.0.1:{listener.port}", HttpEndpoints(bytes, "", str, lambda: None))
    assert caught.value.where == f"127.0.0.1:{listener.port}"


@pytest.mark.parametrize("address", ["", "9723", "localhost:9723", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"])
def test_addresses_that_are_none_are_refused(address):
    with pytest.raises(NodeFileError, match="not an address to listen on"):
        parse_listen_address(address)


def test_addresses():
    assert parse_listen_address("127.0.0.1:9723") == ("127.0.0.1", 9723)
    assert parse_listen_address("[fd00::1]:0") == ("fd00::1", 0)
