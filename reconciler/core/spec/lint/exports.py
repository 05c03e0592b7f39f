"""Defects of NFS exports: places that are not mounted or belong to another dataset, clients that reach no address.

Decides from the resources alone. Whether the directory of an export is there is seen by the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Final

from reconciler.core.facts.storage import DatasetKind
from reconciler.core.spec.configuration import Resource
from reconciler.core.spec.dataset import DatasetSpec
from reconciler.core.spec.defect import Finding, defect
from reconciler.core.spec.lint.datasets import described_datasets, mount_place
from reconciler.core.spec.lint.shares import ancestors, written_above
from reconciler.core.spec.nfs import NfsExportSpec
from reconciler.core.spec.shares import serving_interfaces
from reconciler.core.spec.topology import SpecDraft

#: What an old version of NFS comes to.
_OLD: Final = {
    "3": (
        "NFS 3 is not supported yet, so it is not served: its lock manager has a grace period of its own after each "
        "failover, which would hold up locks of version 4, too",
        "Take it out, and mount with 4.1 or 4.2.",
    ),
    "4.0": (
        "NFS 4.0 is served: its clients never tell that their grace period can end, so each failover waits for the "
        "whole of it",
        "Take it out once no client needs it: Linux mounts with 4.2 by itself.",
    ),
}


def _exported(draft: SpecDraft) -> Iterator[tuple[Resource[NfsExportSpec], Resource[DatasetSpec]]]:
    """Every export with its filesystem, as far as there is one that stays."""
    for export in draft.exports.values():
        dataset = draft.datasets.get(export.spec.dataset)
        if dataset is not None and dataset.spec.type is DatasetKind.FILESYSTEM and not dataset.spec.destroy:
            yield export, dataset


def _places(draft: SpecDraft) -> dict[str, Resource[DatasetSpec]]:
    """The filesystems that a takeover mounts, by their mount points."""
    described = described_datasets(draft)
    found: dict[str, Resource[DatasetSpec]] = {}
    for dataset in draft.datasets.values():
        spec = dataset.spec
        if spec.type is DatasetKind.FILESYSTEM and not spec.destroy and spec.properties.canmount in (None, "on"):
            found.setdefault(mount_place(spec.dataset, described), dataset)
    return found


@defect("nfs-name")
def nfs_name(draft: SpecDraft) -> Iterator[Finding]:
    """There are exports, and the pair has no virtual host name, so each controller would be another server."""
    # A refusal and no warning: a name that is added later is a new server to all clients, which lose their locks.
    if draft.exports and draft.pair is not None and draft.pair.spec.virtual_hostname is None:
        what = "without `virtualHostname` each controller is another server to NFS clients, and a failover costs locks"
        name = draft.pair.name.lower().replace("_", "-")
        remedy = f"Add virtualHostname: {name} to the Pair, and never change it while clients mount."
        yield draft.pair, (), what, remedy


@defect("nfs-old", warning=True)
def nfs_old(draft: SpecDraft) -> Iterator[Finding]:
    """A version of NFS is asked for that makes every failover longer, or that is not served."""
    if draft.nfs_server is not None:
        for index, version in enumerate(draft.nfs_server.spec.versions):
            if version in _OLD:
                what, remedy = _OLD[version]
                yield draft.nfs_server, ("versions", index), what, remedy


@defect("nfs-none")
def nfs_none(draft: SpecDraft) -> Iterator[Finding]:
    """No version of NFS that is served is among the versions."""
    server = draft.nfs_server
    if server is not None and server.spec.versions and not set(server.spec.versions) - {"3"}:
        what = "only version 3 of NFS is asked for, which is not supported yet, so no client could mount"
        yield server, ("versions",), what, "Write versions: [4.1, 4.2], or leave it out."


@defect("export-unmounted")
def export_unmounted(draft: SpecDraft) -> Iterator[Finding]:
    """The dataset of an export is not mounted when a controller takes over."""
    described = described_datasets(draft)
    for export, dataset in _exported(draft):
        canmount = dataset.spec.properties.canmount
        place = mount_place(dataset.spec.dataset, described)
        if canmount in ("off", "noauto"):
            what = f"`{dataset.name}` has canmount: {canmount}, so a takeover does not mount it"
            yield export, ("dataset",), what, "Write canmount: on, or take it out."
        elif not place.startswith("/"):
            what = f"`{dataset.name}` has no mount point of its own: mountpoint is {place}"
            yield export, ("dataset",), what, f"Give it a place for data: mountpoint: /srv/{dataset.name}."


@defect("export-twice")
def export_twice(draft: SpecDraft) -> Iterator[Finding]:
    """Two exports are of one place."""
    seen: dict[tuple[str, str], str] = {}
    for export, dataset in _exported(draft):
        first = seen.setdefault((dataset.spec.dataset, export.spec.path or ""), export.id)
        if first != export.id:
            path = ("path",) if export.spec.path else ("dataset",)
            yield export, path, f"{first} exports the same place", "Merge the two: one export has many clients."


@defect("export-overlap")
def export_overlap(draft: SpecDraft) -> Iterator[Finding]:
    """The place of an export belongs to another dataset, or another pool is mounted inside it."""
    described, places = described_datasets(draft), _places(draft)
    exported: dict[str, list[tuple[Resource[NfsExportSpec], Resource[DatasetSpec]]]] = {}
    for export, dataset in _exported(draft):
        own = mount_place(dataset.spec.dataset, described)
        if not own.startswith("/"):
            continue
        place = f"{own}/{export.spec.path}" if export.spec.path else own
        exported.setdefault(place, []).append((export, dataset))
        for above in (place, *ancestors(place)):
            if above == own:
                break
            if (other := places.get(above)) is not None:
                what = f"{place} belongs to `{other.spec.dataset}`, which is mounted at {above}"
                yield export, ("path",), what, f"Write dataset: {other.name}, or another path."
                break
    for place, other in places.items():
        for above in ancestors(place):
            for export, dataset in exported.get(above, ()):
                if dataset.spec.pool != other.spec.pool:
                    what = f"`{other.spec.dataset}` of another pool is mounted at {place}, inside of what is exported"
                    yield export, ("dataset",), what, "Mount it elsewhere, and export it by itself."


@defect("clients-twice")
def clients_twice(draft: SpecDraft) -> Iterator[Finding]:
    """An export names one client twice."""
    for export in draft.exports.values():
        seen: set[str] = set()
        for index, clients in enumerate(export.spec.clients):
            if clients.hosts in seen:
                what = f"`{clients.hosts}` stands here twice, and only one of the two would count"
                yield export, ("clients", index, "hosts"), what, "Keep one of them."
            seen.add(clients.hosts)


@defect("clients-none")
def clients_none(draft: SpecDraft) -> Iterator[Finding]:
    """No client of an export can reach the server: they have IPv6, and it IPv4, or the reverse."""
    server = draft.nfs_server
    interfaces = serving_interfaces(server.spec.interfaces if server is not None else (), draft)
    virtuals = [interface.spec.virtual for interface in interfaces]
    versions = {address.version for virtual in virtuals if virtual is not None for _, address in virtual.all()}
    for export in draft.exports.values():
        if versions and not any(_version(clients.hosts) in (None, *versions) for clients in export.spec.clients):
            only = f"IPv{min(versions)}"
            what = f"the export admits no client: all of them are IPv{_version(export.spec.clients[0].hosts)}"
            yield export, ("clients",), f"{what}, and the server has {only} addresses alone", f"Add {only} clients."


def _version(hosts: str) -> int | None:
    """The version of IP of an address or network; None for a name or `*`."""
    if ":" in hosts or hosts.replace(".", "").replace("/", "").isdigit():
        return ip_network(hosts).version
    return None


@defect("export-unsafe", warning=True)
def export_unsafe(draft: SpecDraft) -> Iterator[Finding]:
    """An exported dataset answers writes before they are on disk."""
    described = described_datasets(draft)
    for export, dataset in _exported(draft):
        if written_above(dataset.spec.dataset, "sync", described) == "disabled":
            what = f"`{dataset.name}` has sync: disabled: a failover loses writes that clients were told are safe"
            yield export, ("dataset",), what, "Write sync: standard, or always."
