"""Orders as a file: one line of canonical JSON, one line with its seal.

Decides which bytes are orders. Checks the seal before the JSON, so that the parser never reads unauthenticated text.
`safety_checks` and `acceptance` decide whether orders are safe, new enough and for this controller. Does not know the
path of the file.

    {"format":"hagit.orders/1","orders":{"addresses":[...],...,"vdevs":[...]}}
    {"seal":"<64 hexadecimal digits, HMAC-SHA-256 of the first line with its line end>"}

Releases read each other's files. A field that the writer did not know has its default. The reader names a field that it
does not know in `OrdersRead.newer` and ignores it. If orders would be dangerous without a part of them, the writer
names the features that a reader must know, `"needs":["..."]` between format and orders. A reader that does not know one
of these refuses the orders, and the older ones stay in force. The writer leaves out fields that came after the first
release while they have their default, so that the first release reads the file, too (`first_release`).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from reconciler.core.failover.heartbeats.authentication import SEAL_BYTES, Purpose, SealKey, derive, seal
from reconciler.core.failover.orders.first_release import plain_of
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.strict_json import Defect, build, canonical, parse, quoted
from reconciler.errors import StateError

FORMAT: Final = "hagit.orders/1"
ORDERS_BYTES_MAX: Final = 1 << 20
OPENING: Final = b'{"format":"hagit.orders/'
#: By name: features that a reader must know to follow orders that need them. Never give a name another meaning.
FEATURES: Final[Mapping[str, Callable[[Orders], bool]]] = MappingProxyType({})
SEAL_LINE_BYTES: Final = len(b'{"seal":""}\n') + 2 * SEAL_BYTES


@dataclass(frozen=True, slots=True)
class OrdersRead:
    """Orders. `newer`: the places of fields that a newer release wrote and this one ignores."""

    orders: Orders
    newer: tuple[str, ...] = ()


def orders_key(secret: bytes) -> SealKey:
    """Return the key that seals orders. Raises NodeFileError for an unfit secret."""
    return derive(secret, Purpose.ORDERS)


def orders_document(orders: Orders, key: SealKey) -> bytes:
    """Return the sealed file of these orders. Raises StateError for orders that no decoder would accept."""
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
    """Return the orders in a file. Never raises for any bytes."""
    read = read_orders_document(data, key)
    return read if isinstance(read, Refused) else read.orders


def read_orders_document(data: bytes, key: SealKey) -> OrdersRead | Refused:
    """Return the orders in a file and the places of unknown fields. Never raises for any bytes."""
    body = unsealed(data, OPENING, ORDERS_BYTES_MAX, key)
    return body if isinstance(body, Refused) else _read(body)


def unsealed(data: bytes, opening: bytes, bytes_max: int, key: SealKey) -> bytes | Refused:
    """Return the first line of a sealed file that begins with `opening`. Never raises for any bytes."""
    if not SEAL_LINE_BYTES < len(data) <= bytes_max:
        return Refused(Refusal.LENGTH, f"{len(data)} bytes, {bytes_max} are allowed")
    if not data.startswith(opening):
        return Refused(Refusal.FOREIGN)
    body = data[:-SEAL_LINE_BYTES]
    if not hmac.compare_digest(seal_line(body, key), data[-SEAL_LINE_BYTES:]):
        return Refused(Refusal.SEAL)
    return body


def seal_orders(body: bytes, key: SealKey) -> bytes:
    """Return a first line of any content, followed by the line that seals it."""
    return body + seal_line(body, key)


def seal_line(body: bytes, key: SealKey) -> bytes:
    """Return the second line, the seal of the first."""
    return b'{"seal":"%s"}\n' % seal(key, body).hex().encode()


def _body(orders: Orders) -> bytes:
    needs = [name for name, asked in FEATURES.items() if asked(orders)]
    document = {"format": FORMAT, "orders": plain_of(orders)} | ({"needs": sorted(needs)} if needs else {})
    return canonical(document) + b"\n"


def _read(body: bytes) -> OrdersRead | Refused:
    unknown: list[str] = []
    try:
        document = parse(body)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            return Refused(Refusal.VERSION, f"this is {FORMAT}")
        if not {"format", "orders"} <= document.keys() <= {"format", "needs", "orders"}:
            return Refused(Refusal.AUTHENTIC_DEFECT, "document: format, needs and orders, nothing else")
        needs = build(tuple[str, ...], document.get("needs", []), "needs", unknown)
        strange = [quoted(name) for name in needs if name not in FEATURES]
        if strange:
            what = f"a newer hagit wrote them, which this one cannot follow: {strange[0]}"
            return Refused(Refusal.VERSION, what[:200])
        orders = build(Orders, document["orders"], "orders", unknown)
    except Defect as defect:
        return Refused(Refusal.AUTHENTIC_DEFECT, str(defect))
    if canonical(document) + b"\n" != body:
        return Refused(Refusal.AUTHENTIC_DEFECT, "document: not in canonical form")
    return OrdersRead(orders, tuple(unknown))
