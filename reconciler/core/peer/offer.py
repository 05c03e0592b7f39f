"""What a controller says of itself in an enrolment, and why two controllers cannot become a pair.

The code is proved over a transcript of both offers, so a machine between the two cannot change a word of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

CERTIFICATE_BYTES_MAX: Final = 4096
TEXT_LENGTH_MAX: Final = 128
PROTOCOL: Final = b"hagit enrolment 1"


@dataclass(frozen=True, slots=True)
class Offer:
    """One controller: its letter, the serial number of its hardware, its pair, its certificate (DER).

    `pair` is empty before the first revision. `hagit`: the version that it runs.
    """

    side: str
    serial: str
    pair: str
    certificate: bytes
    hagit: str = ""


@dataclass(frozen=True, slots=True)
class OfferRefusal:
    """Why two controllers cannot become a pair, and what to do."""

    what: str
    remedy: str


def offer_document(offer: Offer) -> dict[str, str]:
    """The JSON form."""
    return {
        "side": offer.side,
        "serial": offer.serial,
        "pair": offer.pair,
        "certificate": offer.certificate.hex(),
        "hagit": offer.hagit,
    }


def offer_from_document(document: Mapping[str, Any]) -> Offer:
    """The offer in a JSON document of another machine. Raises KeyError, TypeError or ValueError."""
    texts = {name: document[name] for name in ("side", "serial", "pair", "certificate")}
    texts["hagit"] = document.get("hagit", "")
    for name, text in texts.items():
        most = 2 * CERTIFICATE_BYTES_MAX if name == "certificate" else TEXT_LENGTH_MAX
        if not isinstance(text, str) or len(text) > most or not (text.isprintable()):
            raise ValueError(f"`{name}` is no text of at most {most} characters that print")
    if texts["side"] not in ("a", "b"):
        raise ValueError("`side` is neither a nor b")
    certificate = bytes.fromhex(texts["certificate"])
    return Offer(texts["side"], texts["serial"], texts["pair"], certificate, texts["hagit"])


def refuse_offers(own: Offer, other: Offer, serials: Mapping[str, str]) -> OfferRefusal | None:
    """Why these two cannot become a pair, or None. `serials`: what the Pair names, by controller, where it does."""
    if own.side == other.side:
        return OfferRefusal(
            f"both controllers are controller {own.side}", 'write controller = "a" and "b" into the two node files'
        )
    if own.pair and other.pair and own.pair != other.pair:
        return OfferRefusal(
            f"this is a controller of pair {own.pair!r}, and the other one belongs to {other.pair!r}",
            "let both follow the same repository",
        )
    if own.serial and own.serial == other.serial:
        return OfferRefusal(
            f"both machines say the serial number {own.serial!r}",
            "write the number of each into a file, and name that in its node file: [files] serial",
        )
    for offer, whose in ((own, "this controller"), (other, "the other controller")):
        named = serials.get(offer.side, "")
        if named and named != offer.serial:
            return OfferRefusal(
                f"{whose}, {offer.side}, has the serial number {offer.serial!r}, and the Pair names {named!r}",
                "enrol the unit that the Pair names, or commit the right `serial` to the Pair first",
            )
    return None


def transcript(host: Offer, joiner: Offer, host_share: bytes, joiner_share: bytes) -> bytes:
    """SHA-256 over all that both have said: each part with its length before it, so that no two are equal."""
    digest = sha256(PROTOCOL)
    for offer, share in ((host, host_share), (joiner, joiner_share)):
        texts = (offer.side, offer.serial, offer.pair, offer.hagit)
        for part in (*(text.encode() for text in texts), offer.certificate, share):
            digest.update(len(part).to_bytes(4) + part)
    return digest.digest()
