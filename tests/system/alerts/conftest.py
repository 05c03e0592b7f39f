"""Real receivers of alerts: an HTTP server that keeps what it gets, a mail server, and Debian's Alertmanager."""

import contextlib
import json
import queue
import shutil
import socket
import socketserver
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.core.alerts.conftest import alert_factory, drift
from tests.ports import kept_port

__all__ = ["alert_factory", "drift"]

DEADLINE_S = 20.0


@dataclass
class Waiting:
    """Values that other threads hand over; `until` waits for a number of them."""

    got: list[object] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, value: object) -> None:
        with self.changed:
            self.got.append(value)
            self.changed.notify_all()

    def until(self, condition: Callable[[list[object]], bool], timeout_s: float = DEADLINE_S) -> list[object]:
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self.got), timeout_s), f"in vain: {self.got[-5:]}"
            return list(self.got)


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


class Receiver:
    """An HTTP server on loopback. `answers` are the statuses of the next requests; 200 when there are none."""

    def __init__(self, port: int = 0) -> None:
        self.requests = Waiting()
        self.answers: queue.SimpleQueue[tuple[int, dict[str, str], bytes]] = queue.SimpleQueue()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got = {name.lower(): value for name, value in self.headers.items()}
                receiver.requests(Received(self.path, got, body, id(self)))
                try:
                    status, headers, text = receiver.answers.get_nowait()
                except queue.Empty:
                    status, headers, text = 200, {}, b""
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass

        self._server = Server(("127.0.0.1", port), Handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def will_answer(self, status: int, headers: dict[str, str] | None = None, text: bytes = b"") -> None:
        self.answers.put((status, headers or {}, text))

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receivers() -> Iterator[Callable[..., Receiver]]:
    """Makes receivers; a given port stands for one that comes back."""
    with contextlib.ExitStack() as stack:

        def make(port: int = 0) -> Receiver:
            receiver = Receiver(port)
            stack.callback(receiver.close)
            return receiver

        yield make


@pytest.fixture
def receiver(receivers: Callable[..., Receiver]) -> Receiver:
    return receivers()


@pytest.fixture
def mute() -> Iterator[int]:
    """The port of a server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port on which no process listens, until the test does."""
    with kept_port() as held:
        yield int(held.getsockname()[1])


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "webhook.secret"
    path.write_text("correct-horse-battery-staple\n")
    path.chmod(0o600)
    return path


class MailServer:
    """Enough of SMTP (RFC 5321) for one client at a time; keeps the messages."""

    def __init__(self) -> None:
        self.mails = Waiting()
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 loopback\r\n")
                while line := self.rfile.readline():
                    verb = line[:4].upper()
                    if verb == b"DATA":
                        self.wfile.write(b"354 go on\r\n")
                        lines = list(iter(self.rfile.readline, b".\r\n"))
                        server.mails(b"".join(lines))
                    elif verb == b"QUIT":
                        self.wfile.write(b"221 bye\r\n")
                        return
                    self.wfile.write(b"250 fine\r\n")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.close()


class Alertmanager:
    """Debian's prometheus-alertmanager on loopback, with its data in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("prometheus-alertmanager")
        assert program, "install the Debian package prometheus-alertmanager"
        self._held = kept_port()
        self.port = int(self._held.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        configuration = directory / "alertmanager.yml"
        configuration.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
        self._argv = [
            program,
            f"--config.file={configuration}",
            f"--storage.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
            "--log.level=error",
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.until(lambda: self._get("/-/ready") is not None)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.stop()
        self._held.close()

    def alerts(self) -> list[dict[str, dict[str, str]]]:
        """Those that fire now."""
        return list(json.loads(self._get("/api/v2/alerts") or b"[]"))

    def until(self, condition: Callable[[], bool], timeout_s: float = DEADLINE_S) -> None:
        deadline_s = time.monotonic() + timeout_s
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < deadline_s, f"in vain: {self.alerts()}"
            pause.wait(0.02)

    def _get(self, path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            return None


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    directory = tmp_path / "alertmanager"
    directory.mkdir()
    manager = Alertmanager(directory)
    manager.start()
    yield manager
    manager.close()
