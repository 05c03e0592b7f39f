"""Who is logged in, as the kernel prints it for each initiator (iscsi_target_configfs.c, lio_target_nacl_info_show).

An initiator's object shows its newest session. Names are those under which hagit admits initiators, never what a
client sends: the alias that a client chooses may contain line ends. Pure but for `sessions_of`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from reconciler.core.shares.ports import ConnectedClient
from reconciler.core.shares.shares import Protocol
from reconciler.printing import cut, printable
from reconciler.system.shares.iscsi.configfs import TargetTree

CLIENTS_MAX: Final = 1024
NAME_LENGTH_MAX: Final = 128
_CONNECTIONS: Final = "[iSCSI Connections]"
_ADDRESS: Final = re.compile(r"^   Address (\S{2,64}) (?:TCP|SCTP)  StatSN", re.MULTILINE)
_STATE: Final = re.compile(r"^CID: \d+  Connection State: TARG_CONN_STATE_([A-Z_]+)$", re.MULTILINE)
_LOGGED_IN: Final = "LOGGED_IN"


def parse_session(name: str, share: str, info: str) -> ConnectedClient | None:
    """Return the client that an initiator's `info` shows; None without a session."""
    # The client's alias stands before the last heading, and the kernel's own lines after it.
    _, found, connections = info.rpartition(_CONNECTIONS)
    if not found:
        return None
    address = next(filter(None, map(_plain_address, _ADDRESS.findall(connections))), "")
    states = _STATE.findall(connections)
    state = _LOGGED_IN if _LOGGED_IN in states else next(iter(states), "NO_CONNECTION")
    detail = state.lower().replace("_", " ")
    return ConnectedClient(Protocol.ISCSI, address, cut(printable(name), NAME_LENGTH_MAX), (share,), detail)


def _plain_address(text: str) -> str:
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError:
        return ""


def sessions_of(tree: TargetTree, place: str, share: str) -> list[ConnectedClient]:
    """Return the clients of one portal group. Raises TargetTreeError."""
    found = []
    for iqn in tree.objects(f"{place}/acls"):
        client = parse_session(iqn, share, tree.read(f"{place}/acls/{iqn}/info"))
        if client is not None:
            found.append(client)
    # Sessions of initiators without an object: another program has admitted every initiator.
    for name in filter(None, re.split(r"[\n\0]", tree.read(f"{place}/dynamic_sessions"))):
        shown = cut(printable(name), NAME_LENGTH_MAX)
        found.append(ConnectedClient(Protocol.ISCSI, "", shown, (share,), "not configured"))
    return found


def merged(clients: Iterable[ConnectedClient]) -> list[ConnectedClient]:
    """Return one row for each client at one address in one state, with all shares that it uses."""
    rows: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for client in clients:
        key = client.name, client.address, client.detail
        rows[key] = (*rows.get(key, ()), *client.shares)
    return [
        ConnectedClient(Protocol.ISCSI, address, name, tuple(dict.fromkeys(shares)), detail)
        for (name, address, detail), shares in rows.items()
    ]
