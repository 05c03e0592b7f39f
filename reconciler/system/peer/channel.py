"""Requests between the agents of the two controllers: one connection, one request, one reply.

The server greets first, so a client knows that it was accepted, and which version it speaks to, before it sends
anything. Both sides limit bytes, seconds and connections. Handlers of requests belong to their callers.

    client                           server
      TLS 1.3, both certificates pinned
                        ◄── greeting  {"version": 1, "least": 1, "hagit": "0.1.0"}
      request + attachment ──►
                        ◄── reply + attachment, or an error with a code
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from reconciler.errors import HagitError, PeerError, PeerErrorCode
from reconciler.system.node import PEER_PORT
from reconciler.system.peer.connections import Connections
from reconciler.system.peer.identity import PeerIdentity
from reconciler.system.peer.message import (
    PeerReply,
    PeerRequest,
    encode_request,
    read_message,
    reply_from,
)
from reconciler.system.peer.server import Handler, PeerServer
from reconciler.system.peer.tls import TlsStream, tls_context

__all__ = ["TIMEOUT_S", "Handler", "PeerClient", "PeerReply", "PeerRequest", "PeerServer", "Refusal"]

TIMEOUT_S: Final = 5.0

#: Says why the peer is not spoken to, or None: for example, it is no controller that the Pair names.
Refusal: TypeAlias = Callable[[], HagitError | None]


class PeerClient:
    """Asks the peer's agent. May be used from several threads. Nothing is sent before the first request.

    `addresses`: where the peer may be found, the best first. `refusal`: see `Refusal`.
    """

    def __init__(
        self, identity: PeerIdentity, addresses: Sequence[str], port: int = PEER_PORT, refusal: Refusal | None = None
    ) -> None:
        self.identity = identity
        self.addresses = tuple(addresses)
        self.port = port
        #: Address over which the last reply came; empty before the first one.
        self.path = ""
        #: Certificate that the peer has proved last (DER); during a rotation one of two.
        self.certificate = b""
        #: Version of hagit that greeted last.
        self.peer_version = ""
        self._refusal = refusal
        self._context: ssl.SSLContext | None = None

    def to(self, address: str) -> PeerClient:
        """A client that tries this address alone."""
        return PeerClient(self.identity, [address], self.port, self._refusal)

    def ask(
        self, request: str, body: Mapping[str, Any], *, attachment: bytes = b"", timeout_s: float = TIMEOUT_S
    ) -> PeerReply:
        """Send one request and return its reply, all within `timeout_s`.

        `body`: a JSON object, at most 1 MiB; `attachment`: at most 16 MiB. Raises PeerError; with `sent` when the peer
        may have carried out the request although no reply came.
        """
        refusal = self._refusal() if self._refusal is not None else None
        if refusal is not None:
            raise PeerError(PeerErrorCode.REFUSED, refusal.what, refusal.where, refusal.remedy)
        data = encode_request(request, body, attachment)
        deadline_s = time.monotonic() + timeout_s
        addresses = [self.path, *self.addresses] if self.path in self.addresses else self.addresses
        if self._context is None:
            self._context = tls_context(self.identity, server=False)
        refused: PeerError | None = None
        with contextlib.closing(Connections(addresses, self.port, deadline_s)) as connections:
            for address, sock in connections:
                stream = None
                try:
                    stream = TlsStream(sock, self._context, self.identity.peer_certificates, deadline_s)
                    self._greeting(stream)
                except (PeerError, ssl.SSLError, OSError) as error:
                    if stream is not None:
                        stream.close()
                    refused = _refusal_of(error, address) or refused
                    connections.failures[address] = str(error)
                    continue
                with contextlib.closing(stream):
                    reply = self._exchange(stream, data, address)
                self.path, self.certificate = address, stream.certificate
                return reply
            raise refused or self._unreachable(connections.failures)

    def _greeting(self, stream: TlsStream) -> None:
        head, _ = read_message(stream.read)
        said = head.get("hagit")
        self.peer_version = said if isinstance(said, str) and said.isprintable() and len(said) <= 40 else "unknown"

    def _exchange(self, stream: TlsStream, data: bytes, address: str) -> PeerReply:
        try:
            stream.write(data)
            head, attachment = read_message(stream.read)
        except OSError as error:
            what = f"the connection to the peer ended before its answer: {_why(error)}"
            raise PeerError(PeerErrorCode.UNREACHABLE, what, address, sent=True) from error
        return reply_from(head, attachment)

    def _unreachable(self, failures: Mapping[str, str]) -> PeerError:
        tried = "; ".join(f"{address}: {why}" for address, why in failures.items())
        return PeerError(
            PeerErrorCode.UNREACHABLE,
            f"controller {self.identity.peer_side} does not answer on port {self.port}"
            + (f" ({tried})" if tried else ": no address of it is known"),
            remedy="see there: systemctl status hagit-agent; `hagit peer` shows every path"
            if tried
            else "apply a revision that gives the interlink addresses, or name some: [peer] addresses in the node file",
        )


def _refusal_of(error: Exception, address: str) -> PeerError | None:
    """The error when one side has refused the other, None for a failure of the connection."""
    if isinstance(error, PeerError):
        return PeerError(error.code, error.what, error.where or address, error.remedy or _ENROL_AGAIN)
    if isinstance(error, ssl.SSLCertVerificationError):
        what = "another machine than the enrolled peer answers here: its certificate is not the peer's"
        return PeerError(PeerErrorCode.REFUSED, what, address, _ENROL_AGAIN)
    if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
        what = "the peer refuses this controller: it does not know our certificate"
        return PeerError(PeerErrorCode.REFUSED, what, address, _ENROL_AGAIN)
    return None


_ENROL_AGAIN: Final = "if one of the two was replaced or enrolled again, run on both: hagit enroll"


def _why(error: OSError) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
