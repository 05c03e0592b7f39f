"""What this controller offers in an enrolment, and the same in a file where no cable leads to the other one.

    peer/offer.json    key and certificate of an offer that was written to a file, until the other one's is taken

A file with an offer is public. Its fingerprint is compared by people, because a file has no code.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Final

from reconciler import __version__
from reconciler.core.peer.offer import Offer, offer_document, offer_from_document
from reconciler.errors import StateError, UsageError
from reconciler.system.files import PUBLIC, make_directory, read_bytes, read_json, write_json, write_named
from reconciler.system.machine import machine_serial
from reconciler.system.node import Node
from reconciler.system.peer.certificate import certificate_defect, new_credentials
from reconciler.system.peer.code_exchange import OwnCredentials
from reconciler.system.peer.identity import peer_directory

FORMAT: Final = "hagit.offer/1"
OFFER_FILE: Final = "offer.json"
OFFER_BYTES_MAX: Final = 64 << 10


def new_offer(node: Node, pair: str) -> OwnCredentials:
    """A new key and certificate, with what this controller says of itself. `pair`: its name, empty if unknown."""
    made = new_credentials(f"hagit {pair or 'pair'} {node.controller}")
    serial = machine_serial(node.serial_file)
    return OwnCredentials(Offer(node.controller, serial, pair, made.certificate, __version__), made.key)


def offer_fingerprint(offer: Offer) -> str:
    """SHA-256 of all that an offer says, in 64 hexadecimal digits."""
    return sha256(json.dumps(offer_document(offer), sort_keys=True).encode()).hexdigest()


def write_offer(node: Node, pair: str, file: Path) -> Offer:
    """Make an offer, keep its key here, and write the offer to `file`. Raises StateError."""
    own = new_offer(node, pair)
    make_directory(peer_directory(node))
    document = {"format": FORMAT, "offer": offer_document(own.offer)}
    write_json(peer_directory(node) / OFFER_FILE, document | {"key": own.key})
    write_named(file, json.dumps(document, indent=1).encode() + b"\n", mode=PUBLIC)
    return own.offer


def kept_offer(node: Node) -> OwnCredentials:
    """The offer that this controller wrote to a file last. Raises UsageError without one, StateError if damaged."""
    path = peer_directory(node) / OFFER_FILE
    document = read_json(path)
    if document is None:
        raise UsageError(
            "this controller has written no offer yet",
            remedy="hagit enroll --offer FILE on both controllers, then take the other one's file here",
        )
    try:
        return OwnCredentials(offer_from_document(document["offer"]), str(document["key"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StateError("damaged", where=str(path), remedy="remove this file, and write the offer again") from error


def forget_offer(node: Node) -> None:
    """Remove the kept offer: its key is in the identity now, or of no use any more."""
    (peer_directory(node) / OFFER_FILE).unlink(missing_ok=True)


def read_offer(file: Path, fingerprint: str) -> Offer:
    """The other controller's offer in a file. Raises UsageError, also when the fingerprint is another."""
    try:
        document = json.loads(read_bytes(file, OFFER_BYTES_MAX) or b"")
        offer = offer_from_document(document["offer"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            "this is no offer of a controller", where=str(file), remedy="write one there: hagit enroll --offer FILE"
        ) from error
    if defect := certificate_defect(offer.certificate):
        raise UsageError(f"its certificate cannot be used: {defect}", where=str(file))
    found = offer_fingerprint(offer)
    if fingerprint.replace(" ", "").replace(":", "").lower() != found:
        raise UsageError(
            "this file has another fingerprint than the one given: it is not what the other controller wrote",
            where=str(file),
            remedy="compare with what `hagit enroll --offer` printed there, all 64 digits",
        )
    return offer
