"""The shares as a file beside the orders: one line of canonical JSON, one line with its seal, like the orders.

It is a file of its own and no part of the orders: no share decides which controller may write to the disks, and the two
controllers need not have the same shares at the same moment. Decides which bytes are shares.
"""

from __future__ import annotations

from typing import Final

from reconciler.core.failover.heartbeats.authentication import SealKey
from reconciler.core.failover.orders.document import seal_orders
from reconciler.core.failover.orders.sealed_value import read_value
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.strict_json import canonical
from reconciler.core.shares.shares import Shares

FORMAT: Final = "hagit.shares/1"
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
    if unknown:
        # An unknown field may restrict who may use a share.
        return Refused(Refusal.VERSION, f"a newer hagit wrote it: this one does not know {unknown[0]}")
    return shares
