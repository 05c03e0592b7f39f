import contextlib
import socket
import ssl
import subprocess
import threading
import time

import pytest

from reconciler.system.http.client import ANSWER_BYTES_MAX, HttpFailure, HttpPoster, HttpResponse


@pytest.fixture
def poster():
    """Makes posters and closes them."""
    with contextlib.ExitStack() as stack:

        def make(url, **options):
            return stack.enter_context(contextlib.closing(HttpPoster(url, **options)))

        yield make


@pytest.fixture
def script():
    """A server that takes one connection after another and answers each with the next of `answers`, byte for byte."""
    server = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve(answers, pause_s):
        for answer in answers:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65_536)
                try:
                    for start in range(0, len(answer), 1 if pause_s else len(answer) or 1):
                        connection.sendall(answer[start : start + 1] if pause_s else answer)
                        if stop.wait(pause_s):
                            return
                except OSError:
                    continue

    threads = []

    def start(*answers, pause_s=0.0):
        threads.append(threading.Thread(target=serve, args=(answers, pause_s)))
        threads[-1].start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/"

    yield start
    stop.set()
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    for thread in threads:
        thread.join()


def test_an_answer_that_trickles_ends_at_the_deadline(poster, script):
    sender = poster(script(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000, pause_s=0.05), timeout_s=0.5)
    begin_s = time.monotonic()
    assert sender.post(b"{}", {}) == HttpFailure("no answer within 0.5 s")
    assert 0.4 < time.monotonic() - begin_s < 20, "all of it would take 50 s"


def test_an_endless_body_is_cut(poster, script):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n"
    sender = poster(script(head + b"x" * (4 * ANSWER_BYTES_MAX)), timeout_s=5)
    reply = sender.post(b"{}", {})
    assert isinstance(reply, HttpResponse)
    assert reply.text == "x" * 300


def test_endless_headers_are_cut(poster, script):
    sender = poster(script(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000), timeout_s=5)
    assert isinstance(sender.post(b"{}", {}), HttpFailure)


@pytest.mark.parametrize(
    ("answer", "why"),
    [(b"hello\r\n\r\n", "no HTTP"), (b"", "closed the connection")],
)
def test_nonsense_is_no_answer(poster, script, answer, why):
    reply = poster(script(answer), timeout_s=5).post(b"{}", {})
    assert isinstance(reply, HttpFailure)
    assert why in reply.why


def test_a_connection_that_the_server_closed_meanwhile_is_opened_again(poster, script):
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    sender = poster(script(ok, ok), timeout_s=5)
    assert sender.post(b"{}", {}) == HttpResponse(200, "ok")
    assert sender.post(b"{}", {}) == HttpResponse(200, "ok")


@pytest.mark.parametrize("answer", [b"HTTP/1.0 204 OK\r\n\r\n", b"HTTP/1.1 204 OK\r\nConnection: close\r\n\r\n"])
def test_after_a_server_that_ends_the_connection_with_its_answer_another_is_opened(poster, script, answer):
    sender = poster(script(answer, answer), timeout_s=5)
    assert sender.post(b"{}", {}) == HttpResponse(204, "")
    assert sender.post(b"{}", {}) == HttpResponse(204, "")


def test_control_characters_of_an_answer_do_not_reach_the_journal(poster, script):
    sender = poster(script(b"HTTP/1.1 500 X\r\nContent-Length: 6\r\n\r\n\x1b[31m\x00"), timeout_s=5)
    assert sender.post(b"{}", {}) == HttpResponse(500, "?[31m?")


def test_a_name_that_does_not_resolve_is_said_so(poster):
    reply = poster("http://no-such-host.invalid/", timeout_s=5).post(b"{}", {})
    assert isinstance(reply, HttpFailure)
    assert "does not resolve" in reply.why


def test_certificates_are_verified(poster, tmp_path):
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*make, *subject, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        for _ in range(2):
            connection, _ = server.accept()
            try:
                with context.wrap_socket(connection, server_side=True) as channel:
                    # Head and body come in two parts; closing before both are read would reset the connection.
                    received = b""
                    while not received.endswith(b"{}") and (content := channel.recv(65_536)):
                        received += content
                    channel.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            except (ssl.SSLError, ConnectionError):
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    url = f"https://127.0.0.1:{server.getsockname()[1]}/"
    refused = poster(url, timeout_s=5).post(b"{}", {})
    assert isinstance(refused, HttpFailure)
    assert "certificate is not trusted" in refused.why
    trusted = poster(url, timeout_s=5, ca_file=str(certificate))
    assert trusted.post(b"{}", {}) == HttpResponse(202, "")
    trusted.close()
    thread.join()
    server.close()
    assert "No such file" in poster(url, timeout_s=5, ca_file="/nowhere").post(b"{}", {}).why
