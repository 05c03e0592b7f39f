"""What two nodes with Pacemaker and corosync are configured with: texts, made from names and numbers.

Decides the tuning; why, and who advises it:

- corosync over knet with two links, each on a network of its own (corosync.conf(5)); no encryption, which is its
  default and costs least. `token` is measured with 1,000 ms and with its default of 3,000 ms; `consensus` follows as
  1.2 × token.
- `two_node` with the `wait_for_all` that it implies (votequorum(5)): the survivor keeps quorum.
- fence_scsi(8) for all disks, with keys made from the nodes' names, "recommended", and `provides=unfencing`
  ("Pacemaker Explained", Unfencing); its monitor every 60 s, the agent's own advice. No delay before fencing: a delay
  keeps two nodes that both live from fencing each other, and a power cut leaves one.
- ocf:heartbeat:ZFS and IPaddr2 in a group, with the intervals and timeouts which their metadata advise; the pool's
  partitions are named, so that importing looks at nothing else.
- `resource-stickiness` 100 ("Clusters from Scratch"): what has moved stays. Everything else is Pacemaker's default.

Does not know machines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import quoteattr

CLUSTER: Final = "hagit"
#: The names of the resources; the two of the group are in the order in which they start.
FENCING, POOL, ADDRESS = "fencing", "pool", "address"


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its name and its address on each link."""

    name: str
    addresses: tuple[str, ...]


def corosync_conf(nodes: Sequence[Node], token_ms: int) -> str:
    """Return corosync.conf(5) for these nodes."""
    entries = []
    for number, node in enumerate(nodes, start=1):
        links = "".join(f"    ring{link}_addr: {address}\n" for link, address in enumerate(node.addresses))
        entries.append(f"  node {{\n    name: {node.name}\n    nodeid: {number}\n{links}  }}\n")
    return (
        f"totem {{\n  version: 2\n  cluster_name: {CLUSTER}\n  transport: knet\n  token: {token_ms}\n}}\n"
        "quorum {\n  provider: corosync_votequorum\n  two_node: 1\n}\n"
        f"nodelist {{\n{''.join(entries)}}}\n"
        "logging {\n  to_stderr: no\n  to_syslog: no\n  to_logfile: yes\n  logfile: /var/log/corosync/corosync.log\n"
        "  timestamp: hires\n}\n"
    )


def scsi_key(node: str) -> int:
    """Return the key that fence_scsi(8) makes of a node's name (`key_value=hash`)."""
    cluster, own = (hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:4] for text in (CLUSTER, node))
    return int(cluster + own, 16)


def configuration(nodes: Sequence[Node], disks: Sequence[str], address: str, device: str, sg_persist: str) -> str:
    """Return the section `configuration` of the CIB: nodes, fencing, and the group of pool and address (ADDRESS/BITS).

    `sg_persist` is the program that fence_scsi(8) uses; empty for its own choice.
    """
    host, _, bits = address.partition("/")
    fencing = {
        "devices": ",".join(disks),
        "key_value": "hash",
        "pcmk_host_list": " ".join(node.name for node in nodes),
        **({"sg_persist_path": sg_persist} if sg_persist else {}),
    }
    pool = {"pool": "tank", "importargs": " ".join(f"-d {disk}-part1" for disk in disks)}
    virtual = {"ip": host, "cidr_netmask": bits, "nic": device}
    members = "".join(f'<node id="{number}" uname="{node.name}"/>' for number, node in enumerate(nodes, start=1))
    return (
        "<configuration>"
        + _set("crm_config", "cluster_property_set", "options", {"stonith-enabled": "true"})
        + f"<nodes>{members}</nodes><resources>"
        + _primitive(FENCING, 'class="stonith" type="fence_scsi"', fencing, (("monitor", 60, 60),), unfencing=True)
        + '<group id="service">'
        + _primitive(
            *(POOL, 'class="ocf" provider="heartbeat" type="ZFS"', pool),
            (("monitor", 5, 30), ("start", 0, 60), ("stop", 0, 60)),
        )
        + _primitive(
            *(ADDRESS, 'class="ocf" provider="heartbeat" type="IPaddr2"', virtual),
            (("monitor", 10, 20), ("start", 0, 20), ("stop", 0, 20)),
        )
        + "</group></resources><constraints/>"
        + _set("rsc_defaults", "meta_attributes", "defaults", {"resource-stickiness": "100"})
        + "</configuration>"
    )


def _pairs(prefix: str, values: dict[str, str]) -> str:
    return "".join(
        f"<nvpair id={quoteattr(f'{prefix}-{name}')} name={quoteattr(name)} value={quoteattr(value)}/>"
        for name, value in values.items()
    )


def _set(section: str, element: str, name: str, values: dict[str, str]) -> str:
    return f'<{section}><{element} id="{name}">{_pairs(name, values)}</{element}></{section}>'


def _primitive(
    name: str, kind: str, values: dict[str, str], operations: tuple[tuple[str, int, int], ...], unfencing: bool = False
) -> str:
    """Return a resource with its parameters and its operations: each with its interval and its timeout, in seconds."""
    meta = f'<meta_attributes id="{name}-meta">{_pairs(f"{name}-meta", {"provides": "unfencing"})}</meta_attributes>'
    return (
        f'<primitive id="{name}" {kind}>{meta if unfencing else ""}'
        f'<instance_attributes id="{name}-values">{_pairs(f"{name}-values", values)}</instance_attributes><operations>'
        + "".join(
            f'<op id="{name}-{what}" name="{what}" interval="{interval_s}s" timeout="{timeout_s}s"/>'
            for what, interval_s, timeout_s in operations
        )
        + "</operations></primitive>"
    )
