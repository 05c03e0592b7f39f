"""An HTTP client for POST requests to one URL, over a connection that stays open, each within a deadline.

Decides when a connection is used again and which answers are failures. Verifies certificates. Does not follow
redirects: a request goes only to the configured host.
"""

from __future__ import annotations

import http.client
import io
import select
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from reconciler import __version__
from reconciler.system.alerts.targets import check_url
from reconciler.system.http.bounded_reader import BoundedReader

#: Limits on a whole answer and on its body.
ANSWER_BYTES_MAX: Final = 64 * 1024
BODY_BYTES_MAX: Final = 16 * 1024

#: Length of the excerpt of a body that explains a refusal.
REASON_LENGTH_MAX: Final = 300


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The server answered. `text` is the start of the body, on one line."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """No valid answer came; `why` says the reason."""

    why: str


HttpResult: TypeAlias = HttpResponse | HttpFailure


class _BoundedSocket:
    """The part of a socket that http.client uses, with a deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self.real = sock
        self.deadline_s = 0.0

    def sendall(self, data: bytes) -> None:
        self.real.settimeout(max(0.001, self.deadline_s - time.monotonic()))
        self.real.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        return io.BufferedReader(BoundedReader(self.real, self.deadline_s, ANSWER_BYTES_MAX))

    def close(self) -> None:
        self.real.close()


class HttpPoster:
    """Posts to one URL. For one thread. Raises UsageError for an unusable URL."""

    def __init__(self, url: str, *, timeout_s: float, ca_file: str = "") -> None:
        check_url(url)
        parts = urlsplit(url)
        self._https = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._timeout_s = timeout_s
        self._ca_file = ca_file
        self._connection: http.client.HTTPConnection | None = None
        self._bounded: _BoundedSocket | None = None

    def post(self, body: bytes, headers: Mapping[str, str]) -> HttpResult:
        """Send one request and read its answer."""
        deadline_s = time.monotonic() + self._timeout_s
        while True:
            reused = self._still_open()
            try:
                return self._exchange(body, headers, deadline_s)
            except TimeoutError:
                self.close()
                return HttpFailure(f"no answer within {self._timeout_s:g} s")
            except (ConnectionError, http.client.BadStatusLine) as error:
                self.close()
                # A server may close an idle connection just before its use: try once more on a new one.
                if not reused:
                    return HttpFailure(_why(error))
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.close()
                return HttpFailure(_why(error))

    def close(self) -> None:
        """Close the connection; the next `post` opens another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._bounded = None

    def _still_open(self) -> bool:
        if self._bounded is None:
            return False
        poller = select.poll()
        poller.register(self._bounded.real, select.POLLIN)
        if poller.poll(0):
            # No request is open, so readable data is the end of the connection, or garbage.
            self.close()
            return False
        return True

    def _exchange(self, body: bytes, headers: Mapping[str, str], deadline_s: float) -> HttpResponse:
        connection, bounded = self._connect(deadline_s)
        bounded.deadline_s = deadline_s
        agent = {"User-Agent": f"hagit/{__version__}", "Accept": "*/*"}
        connection.request("POST", self._path, body=body, headers={**agent, **headers})
        with connection.getresponse() as response:
            content = response.read(BODY_BYTES_MAX)
            # When the server ends the connection with its answer, http.client has closed it already.
            if not response.isclosed() or connection.sock is None:
                self.close()
        text = " ".join(content[: 4 * REASON_LENGTH_MAX].decode(errors="replace").split())[:REASON_LENGTH_MAX]
        return HttpResponse(response.status, "".join(c if c.isprintable() else "?" for c in text))

    def _connect(self, deadline_s: float) -> tuple[http.client.HTTPConnection, _BoundedSocket]:
        if self._connection is not None and self._bounded is not None:
            return self._connection, self._bounded
        timeout_s = max(0.001, deadline_s - time.monotonic())
        connection: http.client.HTTPConnection
        if self._https:
            context = ssl.create_default_context(cafile=self._ca_file or None)
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=context)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        connection.connect()
        connection.auto_open = 0
        self._connection = connection
        self._bounded = connection.sock = _BoundedSocket(connection.sock)
        return self._connection, self._bounded


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, socket.gaierror):
        return f"its name does not resolve: {error.strerror}"
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(error, http.client.HTTPException):
        return f"its answer is no HTTP: {type(error).__name__}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
