"""The clients of the servers, as a file in the run directory: `clients.json`, for `hagit clients`.

The worker that looks at the servers writes it, so that no list of clients passes through the watchdog's loop. Only root
may read it. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.core.shares.ports import ConnectedClient, ServerView
from reconciler.core.shares.shares import Protocol
from reconciler.errors import StateError
from reconciler.system.atomic_file import replace_file
from reconciler.system.clock import monotonic_s
from reconciler.system.files import json_line, read_json
from reconciler.system.shares.codec import cleaned

FORMAT: Final = "hagit.clients/1"
NAME: Final = "clients.json"
CLIENTS_MAX: Final = 1_024
NAME_CHARACTERS_MAX: Final = 128
SHARES_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class ClientList:
    """The clients of one look, `age_s` seconds ago. `counts`: of each protocol, with those that the list leaves out."""

    clients: tuple[ConnectedClient, ...]
    counts: tuple[tuple[Protocol, int], ...]
    age_s: float


def write_clients(run: Path, boot: str, views: Mapping[Protocol, ServerView]) -> None:
    """Write the clients of these views. Raises OSError."""
    document = {
        "format": FORMAT,
        "boot": boot,
        "at_ms": int(monotonic_s() * 1_000),
        "counts": {protocol.value: view.clients_count for protocol, view in views.items()},
        "clients": [_plain(client) for view in views.values() for client in view.clients[:CLIENTS_MAX]],
    }
    replace_file(run / NAME, json_line(document), sync=False)


def read_clients(run: Path, boot: str) -> ClientList | None:
    """The clients of the last look in this boot; None without one. Raises StateError for an unreadable file."""
    document = read_json(run / NAME)
    if not isinstance(document, dict) or document.get("boot") != boot:
        return None
    try:
        return ClientList(
            tuple(_client(one) for one in document["clients"][: CLIENTS_MAX * len(Protocol)]),
            tuple((Protocol(name), int(count)) for name, count in document["counts"].items()),
            max(0.0, monotonic_s() - int(document["at_ms"]) / 1_000),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateError(
            f"the list of clients is damaged: {error!r}", where=str(run / NAME), remedy="remove it"
        ) from error


def _plain(client: ConnectedClient) -> list[Any]:
    return [
        client.protocol.value,
        cleaned(client.address, 64),
        cleaned(client.name, NAME_CHARACTERS_MAX),
        [cleaned(name, NAME_CHARACTERS_MAX) for name in client.shares[:SHARES_MAX]],
        cleaned(client.detail, NAME_CHARACTERS_MAX),
    ]


def _client(words: Any) -> ConnectedClient:
    protocol, address, name, shares, detail = words
    return ConnectedClient(
        Protocol(protocol), cleaned(str(address), 64), cleaned(str(name)), tuple(cleaned(str(one)) for one in shares),
        cleaned(str(detail)),
    )  # fmt: skip
