"""The server of the channel: accepts the enrolled peer, and gives its requests to handlers, in a few threads.

A connection that has not proved the peer's key yet costs one of 16 places and three seconds at the most; when all
places are taken, the oldest one of the address that has most is closed. At most eight handlers run at a time. Listeners
follow the addresses of the controller: one that is not there yet is tried again.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from reconciler import __version__
from reconciler.errors import HagitError, PeerError, PeerErrorCode
from reconciler.system.peer.connections import numeric_address
from reconciler.system.peer.identity import PeerIdentity
from reconciler.system.peer.message import (
    PeerReply,
    PeerRequest,
    encode_error,
    encode_greeting,
    encode_reply,
    read_message,
    request_from,
)
from reconciler.system.peer.tls import TlsStream, tls_context

#: Carries out one request, in a thread of its own. A HagitError is told to the peer.
Handler: TypeAlias = Callable[[PeerRequest], PeerReply]

UNPROVEN_MAX: Final = 16
HANDLERS_MAX: Final = 8
HANDSHAKE_S_MAX: Final = 3.0
#: For a request of 16 MiB to arrive, and for a reply to leave.
TRANSFER_S_MAX: Final = 30.0
#: How long a request waits for one of the handlers to end.
QUEUE_S_MAX: Final = 5.0
DRAIN_S_MAX: Final = 1.0
#: Listeners that could not be opened are tried again after this time.
RETRY_S: Final = 2.0
_IP_FREEBIND: Final = 15
_IPV6_FREEBIND: Final = 78


class PeerServer:
    """Serves `handlers` by name on `addresses` from its construction to `close`.

    Port 0 lets the kernel choose one for the first address; `port` says which. `refusal`: why no request is served
    now, or None. `before_handshake` is called, in the thread of each connection, so that the caller can `set_identity`
    when the files of the identity have changed. `on_defect` is called, in any thread, with one line about an unexpected
    exception of a handler.
    """

    def __init__(
        self,
        identity: PeerIdentity,
        addresses: Sequence[str],
        port: int,
        handlers: Mapping[str, Handler],
        *,
        refusal: Callable[[], HagitError | None] | None = None,
        before_handshake: Callable[[], None] | None = None,
        on_defect: Callable[[str], None] | None = None,
        handshake_s_max: float = HANDSHAKE_S_MAX,
    ) -> None:
        self.port = port
        #: Why addresses are not listened on, by address.
        self.failures: dict[str, str] = {}
        self._handlers = dict(handlers)
        self._refusal = refusal
        self._before_handshake = before_handshake
        self._on_defect = on_defect
        self._handshake_s_max = handshake_s_max
        self._identity = identity, tls_context(identity, server=True)
        self._wanted = tuple(addresses)
        self._listeners: dict[str, socket.socket] = {}
        self._lock = threading.Lock()
        #: Connections without a proven key, with their client, oldest first, but for those closed for others.
        self._unproven: dict[socket.socket, str] = {}
        self._threads = 0
        self._handler_places = threading.BoundedSemaphore(HANDLERS_MAX)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = False
        self._follow_addresses()
        self._thread = threading.Thread(target=self._accept, name="peer server", daemon=True)
        self._thread.start()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that are listened on now."""
        return tuple(self._listeners)

    def set_identity(self, identity: PeerIdentity) -> None:
        """Use this identity for every new connection. Raises PeerError (refused) and keeps the old one."""
        self._identity = identity, tls_context(identity, server=True)

    def set_addresses(self, addresses: Sequence[str]) -> None:
        """Listen on these addresses, soon."""
        self._wanted = tuple(addresses)
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Stop listening. Running handlers end with the process."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        for listener in self._listeners.values():
            listener.close()
        with self._lock:
            for sock in self._unproven:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        os.close(self._wake)

    def _follow_addresses(self) -> None:
        wanted = self._wanted
        for address in [address for address in self._listeners if address not in wanted]:
            self._listeners.pop(address).close()
        failures = {}
        for address in wanted:
            if address not in self._listeners:
                try:
                    self._listeners[address] = _listener(address, self.port)
                    self.port = self.port or self._listeners[address].getsockname()[1]
                except OSError as error:
                    failures[address] = error.strerror or str(error)
        self.failures = failures

    def _accept(self) -> None:
        while not self._stopping:
            poll = select.poll()
            poll.register(self._wake, select.POLLIN)
            by_number = {listener.fileno(): listener for listener in self._listeners.values()}
            for number in by_number:
                poll.register(number, select.POLLIN)
            ready = [number for number, _ in poll.poll(RETRY_S * 1000 if self.failures else None)]
            if self._wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
            for number in ready:
                if number in by_number:
                    with contextlib.suppress(OSError):
                        self._begin(*by_number[number].accept())
            if not self._stopping and (self._wake in ready or not ready):
                self._follow_addresses()

    def _begin(self, sock: socket.socket, client: tuple[str | int, ...]) -> None:
        with self._lock:
            if self._threads >= 2 * UNPROVEN_MAX + HANDLERS_MAX:
                # The threads of closed connections have not ended yet.
                sock.close()
                return
            if len(self._unproven) >= UNPROVEN_MAX:
                self._close_one()
            # TLS takes the first descriptor over; this one ends the connection from outside, and reads its rest.
            held = sock.dup()
            self._unproven[held] = str(client[0])
            self._threads += 1
        threading.Thread(
            target=self._serve, args=(sock, held, str(client[0])), name="peer request", daemon=True
        ).start()

    def _close_one(self) -> None:
        busiest, _ = Counter(self._unproven.values()).most_common(1)[0]
        oldest = next(sock for sock, client in self._unproven.items() if client == busiest)
        del self._unproven[oldest]
        with contextlib.suppress(OSError):
            oldest.shutdown(socket.SHUT_RDWR)

    def _serve(self, sock: socket.socket, held: socket.socket, client: str) -> None:
        try:
            if self._before_handshake is not None:
                self._before_handshake()
            identity, context = self._identity
            local = str(sock.getsockname()[0])
            try:
                stream = TlsStream(sock, context, identity.peer_certificates, time.monotonic() + self._handshake_s_max)
            except (PeerError, OSError):
                # The client reads our alert only if we read what it has sent (RFC 9293 3.6.1).
                _drain(held)
                return
            self._forget(held)
            with contextlib.closing(stream):
                self._converse(stream, local, client)
        except OSError:
            # The client has gone, or is too slow.
            return
        finally:
            sock.close()
            self._forget(held)
            held.close()
            with self._lock:
                self._threads -= 1

    def _forget(self, held: socket.socket) -> None:
        with self._lock:
            self._unproven.pop(held, None)

    def _converse(self, stream: TlsStream, local: str, client: str) -> None:
        stream.write(encode_greeting(__version__))
        stream.deadline_s = time.monotonic() + TRANSFER_S_MAX
        try:
            reply = encode_reply(
                self._reply(request_from(*read_message(stream.read), local, client, stream.certificate))
            )
        except PeerError as error:
            reply = encode_error(error)
        stream.deadline_s = time.monotonic() + TRANSFER_S_MAX
        stream.write(reply)

    def _reply(self, request: PeerRequest) -> PeerReply:
        refusal = self._refusal() if self._refusal is not None else None
        if refusal is not None:
            raise PeerError(PeerErrorCode.REFUSED, refusal.what, refusal.where, refusal.remedy)
        handler = self._handlers.get(request.name)
        if handler is None:
            raise PeerError(
                PeerErrorCode.UNKNOWN_REQUEST,
                f"hagit {__version__} on controller {self._identity[0].side} knows no request {request.name!r}",
                remedy="install the same release of hagit on both controllers",
            )
        if not self._handler_places.acquire(timeout=QUEUE_S_MAX):
            what = f"controller {self._identity[0].side} is busy with {HANDLERS_MAX} other requests"
            raise PeerError(PeerErrorCode.FAILED, what, remedy="try again")
        try:
            return handler(request)
        except PeerError:
            raise
        except HagitError as error:
            raise PeerError(PeerErrorCode.FAILED, error.what, error.where, error.remedy) from error
        except Exception as error:
            # A defect of one handler must not end the others: tell the peer, and the journal of this controller.
            if self._on_defect is not None:
                self._on_defect(f"request {request.name}: {error!r:.300} at {_place(error)}")
            what = f"a defect of hagit on controller {self._identity[0].side}: {type(error).__name__}"
            raise PeerError(PeerErrorCode.FAILED, what, remedy="its journal says more; please report this") from error
        finally:
            self._handler_places.release()


def _listener(address: str, port: int) -> socket.socket:
    """A listening socket on an address that this controller need not have yet (ip(7), IP_FREEBIND). Raises OSError."""
    family, place = numeric_address(address, port)
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        sock.bind(place)
        sock.listen(UNPROVEN_MAX)
    except OSError:
        sock.close()
        raise
    return sock


def _drain(sock: socket.socket) -> None:
    """Read until the client closes, a second at the most."""
    end_s = time.monotonic() + DRAIN_S_MAX
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        while (left_s := end_s - time.monotonic()) > 0:
            sock.settimeout(left_s)
            if not sock.recv(4096):
                return


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
