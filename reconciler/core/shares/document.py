"""The shares as a file beside the orders: one line of canonical JSON, one line with its seal, like the orders.

It is a file of its own and no part of the orders: no share decides which controller may write to the disks, and the two
controllers need not have the same shares at the same moment. Decides which bytes are shares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from reconciler.core.failover.heartbeats.authentication import SealKey
from reconciler.core.failover.orders.document import seal_orders, unsealed
from reconciler.core.failover.orders.sealed_value import read_value
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.strict_json import ITEMS_MAX, Defect, build, canonical, parse, quoted
from reconciler.core.shares.shares import IscsiTarget, NfsExport, Shares

FORMAT: Final = "hagit.shares/1"
OPENING: Final = b'{"format":"hagit.shares/'
#: Exports or targets that one step of `decode_in_steps` reads.
STEP: Final = 25
#: The language allows 4,096 shares with 16,384 clients, initiators and LUNs, each at most 700 bytes here.
SHARES_BYTES_MAX: Final = 1 << 24


def shares_document(shares: Shares, key: SealKey) -> bytes:
    """Return the sealed file of these shares."""
    return seal_orders(canonical({"format": FORMAT, "shares": shares}) + b"\n", key)


def decode_shares(data: bytes, key: SealKey) -> Shares | Refused:
    """Return the shares in a file. Never raises for any bytes."""
    read = read_value(Shares, "shares", FORMAT, data, SHARES_BYTES_MAX, key)
    if isinstance(read, Refused):
        return read
    shares, unknown = read
    return _newer(unknown[0]) if unknown else shares


def shares_body(data: bytes, key: SealKey) -> bytes | Refused:
    """Return the first line of a file, whose seal is good. Never raises for any bytes."""
    return unsealed(data, OPENING, SHARES_BYTES_MAX, key)


def decode_in_steps(body: bytes) -> Iterator[Shares | Refused | None]:
    """Yield None after each small part of the work, and at last what `decode_shares` returns for this first line.

    A thousand exports take about 70 ms. A process that must not pause that long does other work between the steps.
    """
    try:
        document = parse(body)
        yield None
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            yield Refused(Refusal.VERSION, f"this is {FORMAT}")
            return
        unknown = sorted(quoted(word) for word in document.keys() - {"format", "shares"})
        value: Any = document.get("shares")
        lists: dict[str, Any] = {"exports": [], "targets": []}
        shares = build(Shares, value | lists if isinstance(value, dict) else value, "shares", unknown)
        exports: list[NfsExport] = []
        targets: list[IscsiTarget] = []
        for at, item in _items(value, "exports"):
            exports.append(build(NfsExport, item, f"shares.exports[{at}]", unknown))
            if at % STEP == STEP - 1:
                yield None
        for at, item in _items(value, "targets"):
            targets.append(build(IscsiTarget, item, f"shares.targets[{at}]", unknown))
            if at % STEP == STEP - 1:
                yield None
        yield _newer(unknown[0]) if unknown else replace(shares, exports=tuple(exports), targets=tuple(targets))
    except Defect as defect:
        yield Refused(Refusal.AUTHENTIC_DEFECT, str(defect))


def decode_body(body: bytes) -> Shares | Refused:
    """Return the shares in a first line: all steps of `decode_in_steps`."""
    *_, found = decode_in_steps(body)
    assert found is not None
    return found


def _items(value: dict[str, Any], name: str) -> Iterator[tuple[int, Any]]:
    """The items of a list that may be missing. Raises Defect for anything else."""
    items = value.get(name, [])
    if not isinstance(items, list):
        raise Defect(f"shares.{name}", f"{type(items).__name__} in place of a list")
    if len(items) > ITEMS_MAX:
        raise Defect(f"shares.{name}", f"{len(items)} items, at most {ITEMS_MAX}")
    yield from enumerate(items)


def _newer(unknown: str) -> Refused:
    # An unknown field may restrict who may use a share.
    return Refused(Refusal.VERSION, f"a newer hagit wrote it: this one does not know {unknown}")
