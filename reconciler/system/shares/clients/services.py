"""The addresses and ports at which clients find the shares: what the filter guards, and nothing else.

Pure. Does not know whether an address is here or a server listens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from reconciler.core.shares.shares import Shares

NFS_PORT: Final = 2_049
#: NFSv3 needs rpcbind, and mountd at its registered port.
NFS_V3_PORTS: Final = (111, 20_048)
#: No pair serves at more addresses; the orders allow fewer.
ADDRESSES_MAX: Final = 256
PORTS_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class ServicePoints:
    """Virtual addresses in the kernel's form, without prefix lengths, and ports; both sorted, each once."""

    addresses: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to guard."""
        return bool(self.addresses and self.ports)


def service_points(shares: Shares, more_ports: Iterable[int] = ()) -> ServicePoints:
    """Return where clients find these shares.

    `more_ports`: further ports of the servers, for example those of NFSv3's lock manager. What is no address or no port
    is left out: the servers report it.
    """
    addresses: list[str] = []
    ports = set(more_ports)
    if shares.nfs is not None:
        addresses += shares.nfs.addresses
        ports |= {NFS_PORT, *(NFS_V3_PORTS if "3" in shares.nfs.versions else ())}
    if shares.iscsi is not None:
        addresses += (address for target in shares.targets for address in target.addresses)
        ports.add(shares.iscsi.port)
    return ServicePoints(_addresses(addresses), tuple(sorted(port for port in ports if 0 < port < 65_536)[:PORTS_MAX]))


def _addresses(texts: Iterable[str]) -> tuple[str, ...]:
    found = set()
    for text in texts:
        try:
            found.add(ip_address(text))
        except ValueError:
            continue
    return tuple(str(address) for address in sorted(found, key=lambda one: (one.version, one.packed))[:ADDRESSES_MAX])
