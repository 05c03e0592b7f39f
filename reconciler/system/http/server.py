"""The agent's small HTTP server: metrics for Prometheus, a health page, and a hook that polls the source.

    GET  /metrics        the text exposition format
    GET  /healthz        200 `ok`, or 503 and why not
    POST /hooks/source   202 for a request signed by GitHub, GitLab, Gitea, Forgejo or another hagit; 401 for others

Limits connections, seconds, bytes and polls for any client. When all places are taken, it closes the oldest connection
of the client that has most, so that silent clients do not block others. Pages are served only under a name of this
controller: else a web page could read them through the browser of an operator (DNS rebinding). Bodies are checked for
their signature and discarded. One request for each connection.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import os
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Final

from reconciler.errors import HagitError, NodeFileError
from reconciler.system.http.bounded_reader import BoundedReader
from reconciler.system.http.webhook_signatures import is_authentic, is_signed
from reconciler.system.secret import read_secret

CONNECTION_COUNT_MAX: Final = 16
REQUEST_S_MAX: Final = 10.0
HEADER_BYTES_MAX: Final = 16 * 1024
BODY_BYTES_MAX: Final = 1024 * 1024
DRAIN_S_MAX: Final = 1.0
POLL_INTERVAL_S: Final = 1.0
DEFAULT_ADDRESS: Final = "127.0.0.1:9723"

_TICK_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class HttpEndpoints:
    """The functions behind the pages and the hook; each may be called from any thread.

    `health` returns an empty text while all is well, else the reason. `poll_source` is called at most once a second.
    Without `secret_file` there is no hook. `hosts`: names of this controller under which the pages are served, in lower
    case, besides IP addresses and `localhost`.
    """

    metrics: Callable[[], bytes]
    metrics_type: str
    health: Callable[[], str]
    poll_source: Callable[[], None]
    secret_file: str = ""
    hosts: Callable[[], frozenset[str]] = frozenset


class HttpServer:
    """Serves `pages` on `address` (`127.0.0.1:9723`, `[::1]:9723`) from `start` to `close`.

    Raises NodeFileError when the address is invalid or in use.
    """

    def __init__(self, address: str, pages: HttpEndpoints, *, request_s_max: float = REQUEST_S_MAX) -> None:
        host, port = parse_listen_address(address)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._server = _Server(family, (host, port), pages, request_s_max)
        except OSError as error:
            raise NodeFileError(
                f"cannot listen: {error.strerror or error}",
                where=address,
                remedy="choose another `listen` address in the node file; this shows which process uses it: ss -ltnp",
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_TICK_S,), name="listener", daemon=True
        )

    def start(self) -> None:
        """Serve from a thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving. Running requests end with the process."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def parse_listen_address(address: str) -> tuple[str, int]:
    """IP address and port; port 0 lets the kernel choose. Raises NodeFileError, also for host names."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    try:
        number = int(port) if port.isascii() and port.isdigit() else -1
        if not 0 <= number <= 65535:
            raise ValueError
        return str(ipaddress.ip_address(host)), number
    except ValueError:
        raise NodeFileError(
            "not an address to listen on", where=address, remedy=f"write it like {DEFAULT_ADDRESS} or [::1]:9723"
        ) from None


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A server with a limit on threads. HTTPServer is not used: it resolves the name of its address at the start."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 32

    def __init__(
        self, family: socket.AddressFamily, address: tuple[str, int], pages: HttpEndpoints, request_s_max: float
    ) -> None:
        self.address_family = family
        self.pages = pages
        self.request_s_max = request_s_max
        self._places = threading.Lock()
        #: Open connections with the address of their client, oldest first, without those that were closed for others.
        self._open: dict[socket.socket, str] = {}
        self._served = 0
        self._poll_lock = threading.Lock()
        self._poll_wanted = False
        self._polled_s = float("-inf")
        super().__init__(address, _Handler)

    def poll_source(self) -> None:
        """Poll the source now, or as soon as the last poll is a second old."""
        with self._poll_lock:
            self._poll_wanted = True
        self.service_actions()

    def service_actions(self) -> None:
        """Run a wanted poll when it is due. The serving loop calls this several times a second."""
        with self._poll_lock:
            due = self._poll_wanted and time.monotonic() >= self._polled_s + POLL_INTERVAL_S
            if due:
                self._poll_wanted = False
                self._polled_s = time.monotonic()
        if due:
            self.pages.poll_source()

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Serve the connection in a thread; close another one first when there are too many."""
        assert isinstance(request, socket.socket) and isinstance(client_address, tuple)
        with self._places:
            if self._served >= 2 * CONNECTION_COUNT_MAX:
                # The threads of closed connections have not ended yet.
                self.shutdown_request(request)
                return
            if len(self._open) >= CONNECTION_COUNT_MAX:
                self._close_one()
            self._open[request] = str(client_address[0])
            self._served += 1
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._ended(request)
            raise

    def _close_one(self) -> None:
        """Close the oldest connection of the client that has most. Its thread then ends."""
        busiest, _ = Counter(self._open.values()).most_common(1)[0]
        oldest = next(request for request, client in self._open.items() if client == busiest)
        del self._open[oldest]
        with contextlib.suppress(OSError):
            oldest.shutdown(socket.SHUT_RDWR)

    def _ended(self, request: object) -> None:
        with self._places:
            self._served -= 1
            if isinstance(request, socket.socket):
                self._open.pop(request, None)

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Run in the thread of the connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._ended(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect or are too slow."""


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: _Server
    server_version = "hagit"
    sys_version = ""

    def setup(self) -> None:
        """Limit reads in time and bytes, writes in time."""
        self.connection = self.request
        self.bounded = BoundedReader(self.connection, time.monotonic() + self.server.request_s_max, HEADER_BYTES_MAX)
        self.rfile = io.BufferedReader(self.bounded)
        self.wfile = self.answer = io.BytesIO()

    def finish(self) -> None:
        """Send the answer, then read the rest of the request: closing early would reset the connection."""
        self.connection.settimeout(self.server.request_s_max)
        self.connection.sendall(self.answer.getvalue())
        self.connection.shutdown(socket.SHUT_WR)
        rest = BoundedReader(self.connection, time.monotonic() + DRAIN_S_MAX, BODY_BYTES_MAX)
        with contextlib.suppress(OSError):
            while rest.read(65_536):
                pass
        rest.close()
        self.rfile.close()

    def do_GET(self) -> None:
        """Serve a page."""
        pages = self.server.pages
        if not self._is_ours(self.headers.get("Host")):
            self._answer_text(HTTPStatus.MISDIRECTED_REQUEST, "this is no name of this controller; see [listen] hosts")
            return
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer(HTTPStatus.OK, pages.metrics(), pages.metrics_type)
            case "/healthz":
                why = pages.health()
                self._answer_text(HTTPStatus.SERVICE_UNAVAILABLE if why else HTTPStatus.OK, why or "ok")
            case _:
                self._answer_text(HTTPStatus.NOT_FOUND, "here are /metrics, /healthz and /hooks/source")

    def _is_ours(self, host: str | None) -> bool:
        """Whether `host` names this controller. A request without a Host header comes from no browser."""
        if host is None:
            return True
        name = host.strip().lower()
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(name)
            return True
        name = name.removesuffix(".")
        return name in ("localhost", os.uname().nodename.lower()) or name in self.server.pages.hosts()

    def do_POST(self) -> None:
        """Serve the hook."""
        if self.path.partition("?")[0] != "/hooks/source" or not self.server.pages.secret_file:
            self._answer_text(HTTPStatus.NOT_FOUND, "there is no such hook")
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._answer_text(HTTPStatus.LENGTH_REQUIRED, "a Content-Length is required")
        elif len(length) > 9 or int(length) > BODY_BYTES_MAX:
            self._answer_text(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{BODY_BYTES_MAX} bytes are the most")
        elif not is_signed(self.headers):
            self._answer_text(HTTPStatus.UNAUTHORIZED, "unsigned")
        else:
            self._hook(int(length))

    def _hook(self, length: int) -> None:
        self.bounded.extend(length)
        body = self.rfile.read(length)
        try:
            secret = read_secret(self.server.pages.secret_file)
        except HagitError:
            self._answer_text(HTTPStatus.INTERNAL_SERVER_ERROR, "the secret of this hook cannot be used")
            return
        if len(body) == length and is_authentic(self.headers, body, secret, time.time()):
            self.server.poll_source()
            self._answer_text(HTTPStatus.ACCEPTED, "looking")
        else:
            self._answer_text(HTTPStatus.UNAUTHORIZED, "the signature does not fit")

    def _answer_text(self, status: HTTPStatus, text: str) -> None:
        self._answer(status, text.encode() + b"\n", "text/plain; charset=utf-8")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Log no requests: Prometheus sends one every few seconds."""
