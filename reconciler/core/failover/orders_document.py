"""Orders as a file: one line of canonical JSON, one line with its seal. Every value has exactly one such file.

Decides which bytes are orders. The seal is looked at before the JSON, so that a parser never sees a stranger's text.
Whether orders are safe, new enough and for this controller is said by `unsafe` and by the core. Does not know where
the file lies.

    {"format":"hagit.orders/1","orders":{"addresses":[...],...,"vdevs":[...]}}
    {"seal":"<64 hexadecimal digits, HMAC-SHA-256 of the first line with its line end>"}
"""

from __future__ import annotations

import hmac
from typing import Final

from reconciler.core.failover.document import Defect, build, canonical, parse
from reconciler.core.failover.orders import Orders
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.seal import SEAL_BYTES, Purpose, SealKey, derive, seal
from reconciler.errors import StateError

FORMAT: Final = "hagit.orders/1"
ORDERS_BYTES_MAX: Final = 1 << 20
OPENING: Final = b'{"format":"hagit.orders/'
SEAL_LINE_BYTES: Final = len(b'{"seal":""}\n') + 2 * SEAL_BYTES


def orders_key(secret: bytes) -> SealKey:
    """The key that seals orders. Raises NodeFileError for an unfit secret."""
    return derive(secret, Purpose.ORDERS)


def orders_document(orders: Orders, key: SealKey) -> bytes:
    """The file of these orders. Raises StateError for orders that no decoder would take back."""
    body = _body(orders)
    read = _read(body)
    if isinstance(read, Refused):
        raise StateError(f"these orders cannot be written: {read.detail}", remedy="correct the configuration")
    document = seal_orders(body, key)
    if len(document) > ORDERS_BYTES_MAX:
        raise StateError(
            f"the orders take {len(document)} bytes, {ORDERS_BYTES_MAX} are allowed",
            remedy="shorten the names of disks and vdevs",
        )
    return document


def decode_orders(data: bytes, key: SealKey) -> Orders | Refused:
    """The orders in a file. Never raises, whatever the bytes."""
    body = unsealed(data, OPENING, ORDERS_BYTES_MAX, key)
    return body if isinstance(body, Refused) else _read(body)


def unsealed(data: bytes, opening: bytes, bytes_max: int, key: SealKey) -> bytes | Refused:
    """The first line of a sealed file that begins with `opening`. Never raises, whatever the bytes."""
    if not SEAL_LINE_BYTES < len(data) <= bytes_max:
        return Refused(Refusal.LENGTH, f"{len(data)} bytes, {bytes_max} are allowed")
    if not data.startswith(opening):
        return Refused(Refusal.FOREIGN)
    body = data[:-SEAL_LINE_BYTES]
    if not hmac.compare_digest(seal_line(body, key), data[-SEAL_LINE_BYTES:]):
        return Refused(Refusal.SEAL)
    return body


def seal_orders(body: bytes, key: SealKey) -> bytes:
    """A first line, whatever it says, with the line that seals it."""
    return body + seal_line(body, key)


def seal_line(body: bytes, key: SealKey) -> bytes:
    """The second line."""
    return b'{"seal":"%s"}\n' % seal(key, body).hex().encode()


def _body(orders: Orders) -> bytes:
    return canonical({"format": FORMAT, "orders": orders}) + b"\n"


def _read(body: bytes) -> Orders | Refused:
    try:
        document = parse(body)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            return Refused(Refusal.VERSION, f"this is {FORMAT}")
        if document.keys() != {"format", "orders"}:
            return Refused(Refusal.AUTHENTIC_DEFECT, "document: format and orders, nothing else")
        orders = build(Orders, document["orders"], "orders")
    except Defect as defect:
        return Refused(Refusal.AUTHENTIC_DEFECT, str(defect))
    if _body(orders) != body:
        return Refused(Refusal.AUTHENTIC_DEFECT, "document: not in canonical form")
    return orders
