"""TLS 1.3 between the two controllers: both show a certificate, and each accepts only the other's, byte for byte.

The context is a bare one: no authority of the system is trusted, names and dates of certificates are not looked at
(X509_VERIFY_PARAM_set_flags(3)), and no session is resumed, so every connection proves the key again. After the
handshake the certificate is compared once more with those that the enrolment left here.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from typing import Final

from reconciler.errors import PeerError, PeerErrorCode
from reconciler.system.peer.identity import PeerIdentity

#: X509_V_FLAG_NO_CHECK_TIME (openssl/x509_vfy.h), which Python's `ssl` passes on and does not name.
NO_CHECK_TIME: Final = 0x200000
READ_BYTES: Final = 64 << 10
#: Shortest time limit of one system call: zero would mean "do not wait".
TIMEOUT_S_MIN: Final = 0.001


def tls_context(identity: PeerIdentity, *, server: bool) -> ssl.SSLContext:
    """The context of one side. Raises PeerError (refused) when key or certificate cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VerifyFlags(ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME)
    if server:
        context.num_tickets = 0
    try:
        context.load_verify_locations(cadata=b"".join(identity.peer_certificates))
        _load_own(context, identity)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise PeerError(
            PeerErrorCode.REFUSED,
            f"the keys of the enrolment cannot be used: {error}",
            remedy="restore them from a backup, or enrol the controllers again: hagit enroll",
        ) from error
    return context


def _load_own(context: ssl.SSLContext, identity: PeerIdentity) -> None:
    """Load key and certificate from memory: `ssl` reads only files, and the key shall lie in no second one."""
    handle = os.memfd_create("hagit-peer", os.MFD_CLOEXEC)
    try:
        os.write(handle, identity.key.encode("ascii") + ssl.DER_cert_to_PEM_cert(identity.certificate).encode("ascii"))
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


class BoundedStream:
    """A connection. Every read and write ends at `deadline_s` of the monotonic clock at the latest."""

    def __init__(self, sock: socket.socket, deadline_s: float) -> None:
        self.socket = sock
        self.deadline_s = deadline_s

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes. Raises OSError; ConnectionError when the other side has closed before."""
        found = bytearray()
        while len(found) < size:
            self.socket.settimeout(self._left_s())
            part = self.socket.recv(min(READ_BYTES, size - len(found)))
            if not part:
                raise ConnectionAbortedError("the connection was closed")
            found += part
        return bytes(found)

    def write(self, data: bytes) -> None:
        """Send all of it. Raises OSError."""
        left = memoryview(data)
        while left:
            self.socket.settimeout(self._left_s())
            left = left[self.socket.send(left[:READ_BYTES]) :]

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def _left_s(self) -> float:
        left_s = self.deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        return max(left_s, TIMEOUT_S_MIN)


class TlsStream(BoundedStream):
    """One authenticated connection. `certificate`: what the other side has proved, one of the pins."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, pins: tuple[bytes, ...], deadline_s: float
    ) -> None:
        """Shake hands. Raises OSError (TimeoutError, ssl.SSLError), or PeerError (refused) for another certificate."""
        super().__init__(sock, deadline_s)
        sock.settimeout(self._left_s())
        server = context.protocol is ssl.PROTOCOL_TLS_SERVER
        self.socket = tls = context.wrap_socket(sock, server_side=server, do_handshake_on_connect=False)
        try:
            tls.do_handshake()
            self.certificate = tls.getpeercert(binary_form=True) or b""
            if self.certificate not in pins:
                raise PeerError(PeerErrorCode.REFUSED, "another certificate than that of the enrolled peer")
        except BaseException:
            tls.close()
            raise
