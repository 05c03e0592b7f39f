"""What the watchdog keeps about shares in the run directory, for its workers and for later daemons of this boot.

`shares`: the last good shares. `serving`: the protocols whose server may run; written before a server starts, and
again when it has stopped. Both name their boot, because a reset ends every server. Decides nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from reconciler.core.failover.refusal import Refused
from reconciler.core.shares.document import SHARES_BYTES_MAX, decode_body
from reconciler.core.shares.shares import Protocol, Shares
from reconciler.errors import HagitError, StateError
from reconciler.system.atomic_file import replace_file
from reconciler.system.files import json_line, read_bytes, read_json

SHARES: Final = "shares"
SERVING: Final = "serving"
BOOT_BYTES_MAX: Final = 64


def keep_shares(run: Path, boot: str, body: bytes) -> str:
    """Write the shares, as the first line of their file. Returns their digest. Raises OSError."""
    replace_file(run / SHARES, boot.encode() + b"\n" + body, sync=False)
    return digest_of(body)


def digest_of(body: bytes) -> str:
    """The SHA-256 of the first line, in hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()


def kept_shares(run: Path, boot: str) -> tuple[Shares, bytes] | None:
    """The shares that were written in this boot, and their first line; None without some.

    Raises StateError for a damaged file.
    """
    path = run / SHARES
    content = read_bytes(path, SHARES_BYTES_MAX + BOOT_BYTES_MAX)
    if content is None:
        return None
    written, _, body = content.partition(b"\n")
    if written != boot.encode():
        return None
    shares = decode_body(body)
    if isinstance(shares, Refused):
        raise StateError(f"the kept shares are damaged: {shares}", where=str(path), remedy="remove it")
    return shares, body


def note_serving(run: Path, boot: str, protocols: Collection[Protocol]) -> None:
    """Write which servers may run. Raises OSError."""
    if protocols:
        document = {"boot": boot, "protocols": sorted(protocol.value for protocol in protocols)}
        replace_file(run / SERVING, json_line(document), sync=False)
    else:
        (run / SERVING).unlink(missing_ok=True)


def noted_serving(run: Path, boot: str) -> frozenset[Protocol]:
    """The servers that may run since an earlier daemon of this boot. All of them if the file is damaged."""
    try:
        document: Any = read_json(run / SERVING)
        if document is None or document["boot"] != boot:
            return frozenset()
        return frozenset(Protocol(name) for name in document["protocols"])
    except (HagitError, KeyError, TypeError, ValueError):
        return frozenset(Protocol)
