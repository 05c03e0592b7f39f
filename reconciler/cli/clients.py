"""`hagit clients`: who uses the shares now, by protocol. Reads the list that the watchdog keeps in /run."""

from __future__ import annotations

import json
import sys
from typing import Final

from reconciler.cli.options import NodeOption, Output, OutputOption
from reconciler.cli.share_text import client_lines, protocol_text
from reconciler.cli.terminal import styled
from reconciler.core.status.plain_document import document_of
from reconciler.system.machine import boot_id
from reconciler.system.node import find_node_file, load_node
from reconciler.system.shares.client_file import ClientList, read_clients
from reconciler.system.watchdog_client import require_status

#: The list is written every second while this controller serves.
STALE_S: Final = 10.0


def clients(node: NodeOption = None, output: OutputOption = Output.TEXT) -> int:
    """Who uses the shares: clients and sessions by protocol.

    Only the active controller has clients. On the other one the command says
    which one to ask, and exits with 1. Needs root.

    \b
    Example:  hagit clients
              hagit clients -o json | jq '.clients[].address'
    """
    loaded = load_node(find_node_file(node))
    status = require_status(loaded)
    assert loaded.watchdog is not None
    active = status.phase == "active"
    found = read_clients(loaded.watchdog.run, boot_id()) if active else None
    if found is not None and found.age_s > STALE_S:
        found = None
    if output is Output.JSON:
        print(json.dumps(_document(active, found), indent=1))
        return 0 if active else 1
    if not active:
        other = status.peer.controller if status.peer.phase == "active" else ""
        where = f"ask on {other}, which is active" if other else "and no controller is active"
        print(f"{status.controller} is {status.phase} and serves no client: {where}.", file=sys.stderr)
        return 1
    if not status.servers:
        print("No shares are configured: `hagit explain NfsExport`, `hagit explain IscsiTarget`.")
        return 0
    if found is None:
        print("The servers have not been looked at yet.")
        return 0
    for protocol, count in found.counts:
        of = tuple(client for client in found.clients if client.protocol is protocol)
        listed = f", {len(of)} of them listed" if len(of) < count else ""
        print(styled(f"{protocol_text(protocol)}: {count} client{'' if count == 1 else 's'}{listed}", 1))
        print("\n".join(client_lines(of)), end="\n" if of else "")
    return 0


def _document(active: bool, found: ClientList | None) -> dict[str, object]:
    return {
        "format": "hagit.clients/1",
        "active": active,
        "age_s": None if found is None else round(found.age_s, 1),
        "counts": {} if found is None else {protocol.value: count for protocol, count in found.counts},
        "clients": [] if found is None else [document_of(client) for client in found.clients],
    }
