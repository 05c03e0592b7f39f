"""Who this controller and its peer are to each other: the result of an enrolment, in one file of the state directory.

    peer/identity.json    own key and certificate, the peer's certificates, serial numbers, sides, name of the pair

The file is private and replaced whole, so a crash leaves the old identity or the new one. A certificate of the peer is
trusted by its bytes, and by nothing else: no authority signs it, and its dates carry no meaning. During a rotation two
certificates of the peer are trusted. A reader ignores fields that it does not know.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from reconciler.errors import StateError, shape_defect
from reconciler.system.files import make_directory, read_json, write_json
from reconciler.system.node import Node

FORMAT: Final = "hagit.peer/1"
DIRECTORY: Final = "peer"
IDENTITY_FILE: Final = "identity.json"
#: A newer release writes a higher number when a reader must know more than this one does.
LEAST_READER: Final = 1
CERTIFICATE_BYTES_MAX: Final = 4096
#: The current certificate of the peer, and the next one during a rotation.
PINS_MAX: Final = 2


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """What an enrolment left here. Certificates are DER (X.509), the key is PEM (PKCS #8).

    `peer_certificates`: those that are accepted, the current one first. `peer_addresses`: where the peer was found at
    the enrolment, an IPv6 link-local one with its link: `fe80::1%enp2s0`. `serial` and `peer_serial`: of the hardware.
    """

    pair: str
    side: str
    serial: str
    peer_serial: str
    key: str = field(repr=False)
    certificate: bytes = field(repr=False)
    peer_certificates: tuple[bytes, ...] = field(repr=False)
    peer_addresses: tuple[str, ...] = ()
    enrolled_s: float = 0.0
    #: During a rotation: what this controller shows when the peer accepts it.
    next_key: str = field(default="", repr=False)
    next_certificate: bytes = field(default=b"", repr=False)

    def with_next(self) -> PeerIdentity:
        """The identity that shows the next certificate from now on."""
        return replace(self, key=self.next_key, certificate=self.next_certificate, next_key="", next_certificate=b"")

    @property
    def peer_side(self) -> str:
        """The letter of the peer."""
        return "b" if self.side == "a" else "a"


def certificate_fingerprint(certificate: bytes) -> str:
    """SHA-256 of a certificate in 64 hexadecimal digits, as `openssl x509 -fingerprint` computes it."""
    return sha256(certificate).hexdigest()


def peer_directory(node: Node) -> Path:
    """The directory of what an enrolment leaves."""
    return node.state / DIRECTORY


def identity_path(node: Node) -> Path:
    """The file of the identity."""
    return peer_directory(node) / IDENTITY_FILE


def load_identity(node: Node) -> PeerIdentity | None:
    """The identity of this controller, None on a pair that is not enrolled.

    Raises StateError when the file cannot be read, is damaged, was written by a newer release for newer readers only,
    or belongs to the other controller.
    """
    path = identity_path(node)
    document = read_json(path)
    if document is None:
        return None
    try:
        if document["least"] > LEAST_READER:
            raise StateError(
                "a newer release of hagit wrote this identity", where=str(path), remedy="install that release again"
            )
        identity = identity_from_document(document)
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise StateError(
            f"damaged: {shape_defect(error)}",
            where=str(path),
            remedy="restore this file from a backup, or enrol the controllers again: hagit enroll",
        ) from error
    if identity.side != node.controller:
        raise StateError(
            f"this is the identity of controller {identity.side}, and the node file says controller {node.controller}",
            where=str(path),
            remedy="correct `controller` in the node file, or enrol again: hagit enroll",
        )
    return identity


def write_identity(node: Node, identity: PeerIdentity) -> None:
    """Replace the identity of this controller, whole and synced. Raises StateError and leaves the old one."""
    make_directory(peer_directory(node))
    write_json(identity_path(node), identity_document(identity))


def identity_document(identity: PeerIdentity) -> dict[str, Any]:
    """The JSON form. It holds the private key."""
    return {
        "format": FORMAT,
        "least": LEAST_READER,
        "pair": identity.pair,
        "side": identity.side,
        "serial": identity.serial,
        "peer_serial": identity.peer_serial,
        "key": identity.key,
        "certificate": _text(identity.certificate),
        "peer_certificates": [_text(certificate) for certificate in identity.peer_certificates],
        "peer_addresses": list(identity.peer_addresses),
        "enrolled_s": identity.enrolled_s,
        "next_key": identity.next_key,
        "next_certificate": _text(identity.next_certificate),
    }


def identity_from_document(document: Mapping[str, Any]) -> PeerIdentity:
    """The identity in a JSON document. Raises KeyError, TypeError or ValueError for a damaged one."""
    pins = tuple(_certificate(text) for text in document["peer_certificates"])
    if not 1 <= len(pins) <= PINS_MAX:
        raise ValueError(f"{len(pins)} certificates of the peer, 1 to {PINS_MAX} are possible")
    if document["side"] not in ("a", "b"):
        raise ValueError("`side` is neither a nor b")
    return PeerIdentity(
        pair=str(document["pair"]),
        side=document["side"],
        serial=str(document["serial"]),
        peer_serial=str(document["peer_serial"]),
        key=str(document["key"]),
        certificate=_certificate(document["certificate"]),
        peer_certificates=pins,
        peer_addresses=tuple(map(str, document.get("peer_addresses", ()))),
        enrolled_s=float(document.get("enrolled_s", 0.0)),
        next_key=str(document.get("next_key", "")),
        next_certificate=_certificate(following) if (following := document.get("next_certificate")) else b"",
    )


def _text(certificate: bytes) -> str:
    return base64.b64encode(certificate).decode("ascii")


def _certificate(text: str) -> bytes:
    certificate = base64.b64decode(text, validate=True)
    if not 0 < len(certificate) <= CERTIFICATE_BYTES_MAX:
        raise ValueError("a certificate of an impossible length")
    return certificate
