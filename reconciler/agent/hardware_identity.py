"""The hardware identity of a controller: failover runs only on the two machines that the Pair names.

Compares the serial number of the hardware (DMI, or a file where there is none) with the one that the Pair gives this
controller. A Pair without serial numbers is not bound to two machines.
"""

from __future__ import annotations

from reconciler.agent.source.content import Content
from reconciler.errors import NodeFileError
from reconciler.system.machine import machine_serial
from reconciler.system.node import Node


def require_this_unit(content: Content, node: Node) -> None:
    """Raise NodeFileError when failover is enabled and the Pair names another machine."""
    named = content.settings.pair.serials.get(node.controller, "")
    if content.orders is None or not content.orders.enabled or not named:
        return
    found = machine_serial(node.serial_file)
    if found == named:
        return
    raise NodeFileError(
        f"this machine is not the unit that the Pair names: controller {node.controller} has the serial number "
        f"{named!r}, and this machine {f'says {found!r}' if found else 'says none'}",
        where=str(node.serial_file),
        remedy=f"run this on the unit named, or write `serial: {found}` into the Pair if this one takes its place"
        if found
        else "write it into a file and name that in the node file: [files] serial",
    )
