"""The code of an enrolment, proved by two machines to each other without showing it (SPAKE2, RFC 9382).

    joiner ── offer, share ──►  host
           ◄── offer, share ──           (or a refusal)
           ── proof ────────►            a wrong one is a wrong guess
           ◄── proof ────────            (or: wrong code)
           ◄═══ TLS 1.3 ════►            with the two certificates of the offers, each pinned

A machine that does not know the code gets one guess for each exchange, and learns nothing else; one between the two
cannot change an offer, for the proofs cover both. Nothing is kept here.
"""

from __future__ import annotations

import hmac
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from spake2 import SPAKE2_A, SPAKE2_B, SPAKEError

from reconciler.core.peer.check_words import check_words
from reconciler.core.peer.offer import (
    Offer,
    OfferRefusal,
    offer_document,
    offer_from_document,
    transcript,
)
from reconciler.errors import PeerError, PeerErrorCode
from reconciler.system.peer.certificate import certificate_defect
from reconciler.system.peer.identity import PeerIdentity
from reconciler.system.peer.message import encode_error, encode_head, read_message, reply_from
from reconciler.system.peer.tls import BoundedStream, TlsStream, tls_context

#: Names of the two roles in SPAKE2, so that no message can be sent back to its sender.
HOST_NAME: Final = b"hagit enrolment host"
JOINER_NAME: Final = b"hagit enrolment joiner"
#: A machine that says nothing blocks the host for this time at most.
EXCHANGE_S_MAX: Final = 5.0
HEAD_BYTES_MAX: Final = 32 << 10

#: Why two offers do not go together, or None.
Judge = Callable[[Offer], OfferRefusal | None]


class WrongCode(PeerError):
    """The other machine does not know the code. For the host this is a wrong guess."""

    def __init__(self, where: str) -> None:
        super().__init__(PeerErrorCode.REFUSED, "the code does not fit", where)


@dataclass(frozen=True, slots=True)
class OwnCredentials:
    """What this controller offers, with the key of the offered certificate (PEM)."""

    offer: Offer
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Exchange:
    """Both sides have proved the code: the other one's offer, the words to compare, and the TLS connection."""

    offer: Offer
    words: tuple[str, ...]
    stream: TlsStream = field(repr=False)
    remote: str = ""


def host_exchange(sock: socket.socket, code: str, own: OwnCredentials, judge: Judge) -> Exchange:
    """Answer one machine. Closes the socket unless it succeeds.

    Raises WrongCode for a wrong guess; PeerError for a refusal or for bytes that are no enrolment; OSError.
    """
    stream = BoundedStream(sock, time.monotonic() + EXCHANGE_S_MAX)
    try:
        secret = SPAKE2_A(code.encode("ascii"), idA=HOST_NAME, idB=JOINER_NAME)
        share = secret.start()
        other, other_share = _take_offer(stream)
        refusal = judge(other)
        if refusal is not None:
            raise _tell(stream, PeerError(PeerErrorCode.REFUSED, refusal.what, remedy=refusal.remedy))
        _send_offer(stream, own.offer, share)
        key = _finish(secret, other_share)
        said = transcript(own.offer, other, share, other_share)
        if not hmac.compare_digest(_take_proof(stream), _proof(key, b"joiner", said)):
            raise _tell(stream, WrongCode(_remote(sock)))
        stream.write(encode_head({"proof": _proof(key, b"host", said).hex()}))
        return _secured(stream, own, other, key, said, server=True)
    except BaseException:
        stream.close()
        raise


def join_exchange(sock: socket.socket, code: str, own: OwnCredentials, judge: Judge) -> Exchange:
    """Ask one machine. Closes the socket unless it succeeds. Raises as `host_exchange` does."""
    stream = BoundedStream(sock, time.monotonic() + EXCHANGE_S_MAX)
    try:
        secret = SPAKE2_B(code.encode("ascii"), idA=HOST_NAME, idB=JOINER_NAME)
        share = secret.start()
        _send_offer(stream, own.offer, share)
        other, other_share = _take_offer(stream)
        refusal = judge(other)
        if refusal is not None:
            raise PeerError(PeerErrorCode.REFUSED, refusal.what, remedy=refusal.remedy)
        key = _finish(secret, other_share)
        said = transcript(other, own.offer, other_share, share)
        stream.write(encode_head({"proof": _proof(key, b"joiner", said).hex()}))
        try:
            proof = _take_proof(stream)
        except PeerError as error:
            raise WrongCode(_remote(sock)) if error.what == WrongCode("").what else error from error
        if not hmac.compare_digest(proof, _proof(key, b"host", said)):
            raise WrongCode(_remote(sock))
        return _secured(stream, own, other, key, said, server=False)
    except BaseException:
        stream.close()
        raise


def _secured(
    stream: BoundedStream, own: OwnCredentials, other: Offer, key: bytes, said: bytes, *, server: bool
) -> Exchange:
    """Go on over TLS with the certificates that both have proved to be each other's."""
    identity = made_identity(own, other)
    remote = _remote(stream.socket)
    tls = TlsStream(stream.socket, tls_context(identity, server=server), identity.peer_certificates, stream.deadline_s)
    return Exchange(other, check_words(_proof(key, b"words", said)), tls, remote)


def made_identity(own: OwnCredentials, other: Offer, addresses: tuple[str, ...] = ()) -> PeerIdentity:
    """What an enrolment of these two makes of this controller."""
    offer = own.offer
    return PeerIdentity(
        pair=offer.pair or other.pair,
        side=offer.side,
        serial=offer.serial,
        peer_serial=other.serial,
        key=own.key,
        certificate=offer.certificate,
        peer_certificates=(other.certificate,),
        peer_addresses=addresses,
    )


def _send_offer(stream: BoundedStream, offer: Offer, share: bytes) -> None:
    stream.write(encode_head({"offer": offer_document(offer), "share": share.hex()}))


def _take_offer(stream: BoundedStream) -> tuple[Offer, bytes]:
    head = _take(stream)
    try:
        offer, share = offer_from_document(head["offer"]), bytes.fromhex(head["share"])
    except (KeyError, TypeError, ValueError) as error:
        raise PeerError(PeerErrorCode.FAILED, "what the other machine says is no offer of a controller") from error
    if defect := certificate_defect(offer.certificate):
        raise PeerError(PeerErrorCode.FAILED, f"the certificate of the other machine cannot be used: {defect}")
    return offer, share


def _take_proof(stream: BoundedStream) -> bytes:
    try:
        return bytes.fromhex(_take(stream)["proof"])
    except (KeyError, TypeError, ValueError) as error:
        raise PeerError(PeerErrorCode.FAILED, "what the other machine says is no proof of the code") from error


def _take(stream: BoundedStream) -> dict[str, Any]:
    head, _ = read_message(stream.read, HEAD_BYTES_MAX, 0)
    if "error" in head:
        reply_from(head, b"")
    return head


def _tell(stream: BoundedStream, error: PeerError) -> PeerError:
    stream.write(encode_error(error))
    return error


def _finish(secret: SPAKE2_A | SPAKE2_B, share: bytes) -> bytes:
    try:
        key: bytes = secret.finish(share)
    except (SPAKEError, ValueError, AssertionError) as error:
        raise PeerError(PeerErrorCode.FAILED, "what the other machine says is no share of SPAKE2") from error
    return key


def _proof(key: bytes, purpose: bytes, said: bytes) -> bytes:
    return hmac.digest(key, purpose + b"\0" + said, sha256)


def _remote(sock: socket.socket) -> str:
    """The address of the other side; an IPv6 link-local one with its link."""
    place = sock.getpeername()
    address = str(place[0]).partition("%")[0]
    if "." in address:
        return address.removeprefix("::ffff:")
    return f"{address}%{socket.if_indextoname(place[3])}" if len(place) == 4 and place[3] else address
