"""`hagit capture`: writes YAML that describes this machine, its network and its pools, as they are now."""

from __future__ import annotations

import shutil
import socket
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated

import typer

from reconciler.cli.options import NodeOption
from reconciler.core.facts.network_adapter import NetworkAdapter
from reconciler.core.facts.state import Observed
from reconciler.core.failover.reservations.key import Side
from reconciler.core.spec import capture as capturing
from reconciler.core.spec.pool_capture import languages_properties
from reconciler.errors import UsageError
from reconciler.system.machine import machine_serial
from reconciler.system.netlink.live_network import LiveNetwork
from reconciler.system.node import Node, find_node_file, load_node
from reconciler.system.zfs.live_pools import LivePools
from reconciler.system.zfs.tools import PATH


def capture(
    controller: Annotated[Side | None, typer.Option("--controller", help="Which one this machine is.")] = None,
    node: NodeOption = None,
) -> int:
    """Write YAML for this controller as it is now; planning it here changes nothing.

    \b
    Example:  hagit capture --controller a > network.yaml
    """
    path = find_node_file(node)
    known = load_node(path) if path.exists() or node is not None else None
    if known is None and controller is None:
        raise UsageError("which controller is this?", remedy="add --controller a, or make a node file: hagit init")
    name = controller.value if controller is not None else known.controller if known is not None else ""
    known = known or Node(path, name)
    print(captured(known, name, machine_serial(known.serial_file)), end="")
    return 0


def captured(node: Node, controller: str, serial: str) -> str:
    """YAML of this machine as `controller`. `serial`: its serial number, or empty. Raises ObservationError."""
    network = LiveNetwork(node.hostname_file, node.resolver_file)
    try:
        return capturing.capture(_observe(network), controller, socket.gethostname(), serial)
    finally:
        network.close()


def _observe(network: NetworkAdapter) -> Observed:
    """One look at the network and, where ZFS is installed, at the pools."""
    observed = network.observe()
    if shutil.which("zpool", path=PATH) is None:
        return observed
    look = LivePools(properties=languages_properties()).observe(None)
    facts = MappingProxyType({**observed.facts, **look.facts})
    return replace(observed, facts=facts, unknown=(*observed.unknown, *look.unknown))
