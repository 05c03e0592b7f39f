"""What the watchdog keeps about shares in the run directory, for its workers and for later daemons of this boot.

`shares`: the last good shares. `serving`: the protocols whose server may run; written before a server starts, and
again when it has stopped. Both name their boot, because a reset ends every server. Decides nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from reconciler.core.failover.strict_json import Defect, build, canonical, parse
from reconciler.core.shares.document import SHARES_BYTES_MAX
from reconciler.core.shares.shares import Protocol, Shares
from reconciler.errors import HagitError, StateError
from reconciler.system.atomic_file import replace_file
from reconciler.system.files import json_line, read_bytes, read_json

SHARES: Final = "shares"
SERVING: Final = "serving"


def keep_shares(run: Path, boot: str, shares: Shares) -> str:
    """Write the shares. Returns their digest. Raises OSError."""
    replace_file(run / SHARES, canonical({"boot": boot, "shares": shares}), sync=False)
    return digest_of(shares)


def digest_of(shares: Shares) -> str:
    """The SHA-256 of these shares, in hexadecimal digits."""
    return hashlib.sha256(canonical(shares)).hexdigest()


def kept_shares(run: Path, boot: str) -> Shares | None:
    """The shares that were written in this boot; None without some. Raises StateError for a damaged file."""
    path = run / SHARES
    content = read_bytes(path, SHARES_BYTES_MAX)
    if content is None:
        return None
    try:
        document = parse(content)
        if not isinstance(document, dict) or document.get("boot") != boot:
            return None
        return build(Shares, document.get("shares"), SHARES)
    except Defect as defect:
        raise StateError(f"the kept shares are damaged: {defect}", where=str(path), remedy="remove it") from defect


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
