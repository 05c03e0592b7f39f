"""Sealed value: read one value of any type from a sealed file beside the orders.

A key that this release does not know comes from a newer one. `read_value` reports its place, and the caller decides
about it. Knows no particular type of value.
"""

from __future__ import annotations

from typing import TypeVar

from reconciler.core.failover.heartbeats.authentication import SealKey
from reconciler.core.failover.orders.document import unsealed
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.strict_json import Defect, build, parse, quoted

T = TypeVar("T")


def read_value(
    kind: type[T], name: str, written: str, data: bytes, bytes_max: int, key: SealKey
) -> tuple[T, tuple[str, ...]] | Refused:
    """Return the value under `name` in a file of the format `written`, and the places of unknown keys. Never raises.

    Formats of one purpose differ only in the version after their last slash.
    """
    body = unsealed(data, f'{{"format":"{written.rpartition("/")[0]}/'.encode(), bytes_max, key)
    if isinstance(body, Refused):
        return body
    try:
        document = parse(body)
        if not isinstance(document, dict) or document.get("format") != written:
            return Refused(Refusal.VERSION, f"this is {written}")
        if name not in document:
            return Refused(Refusal.AUTHENTIC_DEFECT, f"document: {name} is missing")
        unknown = sorted(quoted(word) for word in document.keys() - {"format", name})
        return build(kind, document[name], name, unknown), tuple(unknown)
    except Defect as defect:
        return Refused(Refusal.AUTHENTIC_DEFECT, str(defect))
