"""Debian's iSCSI initiator (open-iscsi) for an emulated machine: iscsid and iscsiadm, never installed on the host.

A machine that shares the tree lays it over its `/usr` (`debian_trees.laid_over`) and calls `start_initiator`. Does not
know which targets a machine logs in to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.lab.debian_trees import Packages
from tests.lab.machine import Machine

OPEN_ISCSI: Final = Packages(
    "initiator", ("open-iscsi", "libisns0", "libopeniscsiusr"), ("sbin", "lib"), "0.5 MB", etc=("iscsi",)
)


def start_initiator(machine: Machine, tree: Path, name: str) -> None:
    """Give the machine the name of an initiator, and start iscsid."""
    machine.check(
        f"mkdir -p /etc/iscsi /run/lock/iscsi && cp {tree}/etc/iscsi/iscsid.conf /etc/iscsi/ && ldconfig && "
        f"echo InitiatorName={name} > /etc/iscsi/initiatorname.iscsi && iscsid"
    )
