"""Shares and their clients as text, for `hagit status` and `hagit clients`. Decides the words only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.cli.duration import duration_text
from reconciler.core.shares.ports import ConnectedClient
from reconciler.core.status.watchdog import ServerStatus

NAMES: Final = {"nfs": "NFS", "iscsi": "iSCSI"}
#: A line about a server names at most this many shares that are not served.
UNSERVED_SHOWN_MAX: Final = 5


def protocol_text(protocol: str) -> str:
    """A protocol as people write it."""
    return NAMES.get(protocol, protocol)


def server_text(server: ServerStatus) -> str:
    """One server in a sentence."""
    name, shares = protocol_text(server.protocol), _counted(server.shares, "share")
    if not server.wanted:
        return f"{name} {server.serving}, {shares} to serve after a takeover"
    start = "" if server.start_ms is None else f"; started in {duration_text(server.start_ms)}"
    clients = _counted(server.clients, "client")
    line = f"{name} {server.serving}, {server.served_count} of {shares} served, {clients}{start}"
    if server.serving == "up" and server.unserved:
        shown = ", ".join(server.unserved[:UNSERVED_SHOWN_MAX])
        line += f"; not served: {shown}{', …' if len(server.unserved) > UNSERVED_SHOWN_MAX else ''}"
    return line


def client_lines(clients: tuple[ConnectedClient, ...]) -> Iterator[str]:
    """One line for each client: address, shares that it uses, name and details."""
    width = max((len(client.address) for client in clients), default=0)
    for client in clients:
        shares = ", ".join(client.shares) or "-"
        more = "  ".join(part for part in (client.name, client.detail) if part)
        yield f"  {client.address:<{width}}  {shares}" + (f"  {more}" if more else "")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
