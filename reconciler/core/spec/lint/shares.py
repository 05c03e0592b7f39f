"""Defects of shares of every protocol: their datasets, the interfaces that serve them, the pool of their state.

Decides what contradicts itself in the resources alone. What is peculiar to exports or targets stands in `exports` and
`targets`. Whether a server starts on a controller is seen there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from reconciler.core.facts.storage import DatasetKind, is_inside, ways_up
from reconciler.core.shares.shares import STATE_NAME
from reconciler.core.spec.configuration import Resource
from reconciler.core.spec.dataset import DatasetSpec
from reconciler.core.spec.defect import Finding, defect
from reconciler.core.spec.limits import SHARE_ENTRIES_MAX, SHARES_MAX
from reconciler.core.spec.lint.datasets import described_datasets, mount_place
from reconciler.core.spec.nearest import suggestion
from reconciler.core.spec.share_state import shares_by_pool, state_dataset, written_state_pools
from reconciler.core.spec.shares import serving_interfaces
from reconciler.core.spec.topology import SpecDraft
from reconciler.core.spec.tree import Path
from reconciler.errors import Complaint

#: A share, the path of the name of its dataset, and that name.
NamedDataset: TypeAlias = tuple[Resource[Any], Path, str]

#: Places whose files a restart removes, or that come and go with a plugged-in medium.
_LOST: Final = ("/dev", "/media", "/proc", "/run", "/sys", "/tmp", "/var/run", "/var/tmp")


def named_datasets(draft: SpecDraft) -> Iterator[NamedDataset]:
    """Every dataset that a share names."""
    for export in draft.exports.values():
        yield export, ("dataset",), export.spec.dataset
    for target in draft.targets.values():
        for index, lun in enumerate(target.spec.luns):
            yield target, ("luns", index, "dataset"), lun.dataset


def written_above(dataset: str, name: str, described: Mapping[str, Resource[DatasetSpec]]) -> Any:
    """A property as far as it is written, on this dataset or on the nearest one above; None if it is nowhere."""
    for upper in (dataset, *ways_up(dataset)):
        resource = described.get(upper)
        value = getattr(resource.spec.properties, name) if resource is not None else None
        if value is not None:
            return value
    return None


@defect("share-dataset")
def share_dataset(draft: SpecDraft) -> Iterator[Finding]:
    """A share names a dataset that no Dataset describes."""
    for share, path, name in named_datasets(draft):
        if name not in draft.datasets and not draft.incomplete:
            remedy = suggestion(name, draft.datasets) if draft.datasets else "Describe it with kind Dataset."
            yield share, path, f"there is no Dataset `{name}`", remedy


@defect("share-kind")
def share_kind(draft: SpecDraft) -> Iterator[Finding]:
    """An export names a volume, or a target names a filesystem."""
    for share, path, name in named_datasets(draft):
        dataset = draft.datasets.get(name)
        if dataset is None:
            continue
        is_volume = dataset.spec.type is DatasetKind.VOLUME
        if share.kind == "NfsExport" and is_volume:
            yield share, path, f"`{name}` is a volume, and NFS serves files", "Name a filesystem, or use IscsiTarget."
        if share.kind == "IscsiTarget" and not is_volume:
            what = f"`{name}` is a filesystem, and a LUN is a block device"
            yield share, path, what, "Name a Dataset with type: volume, or use NfsExport."


@defect("share-destroyed")
def share_destroyed(draft: SpecDraft) -> Iterator[Finding]:
    """A share names a dataset that is to be destroyed."""
    for share, path, name in named_datasets(draft):
        dataset = draft.datasets.get(name)
        if dataset is not None and dataset.spec.destroy:
            yield share, path, f"`{name}` is to be destroyed", "Remove the share as well, or keep the dataset."


@defect("share-interface")
def share_interface(draft: SpecDraft) -> Iterator[Finding]:
    """A share is to be served at an interface that is not there, or that has no virtual address."""
    nfs: list[Resource[Any]] = [draft.nfs_server] if draft.nfs_server is not None else []
    moving = {interface.name for interface in serving_interfaces((), draft)}
    for resource in (*nfs, *draft.targets.values()):
        for index, name in enumerate(resource.spec.interfaces):
            path = ("interfaces", index)
            if name not in draft.interfaces:
                if not draft.incomplete:
                    known = moving or set(draft.interfaces)
                    yield resource, path, f"there is no Interface `{name}`", suggestion(name, known)
            elif name not in moving:
                what = f"`{name}` has no virtual address, so clients would lose the share with the first failover"
                remedy = "Add virtual: {address: …, vhid: …} to it, or name another interface."
                yield resource, path, what, remedy


@defect("share-address")
def share_address(draft: SpecDraft) -> Iterator[Finding]:
    """There are shares, and no interface has a virtual address."""
    share = next((share for share, _, _ in named_datasets(draft)), None)
    if share is not None and not draft.incomplete and not any(serving_interfaces((), draft)):
        what = "no Interface has a virtual address, so no client finds the shares"
        yield share, (), what, "Add virtual: {address: …, vhid: …} to the interface of the clients."


@defect("share-controller", warning=True)
def share_controller(draft: SpecDraft) -> Iterator[Finding]:
    """There are shares, and one controller alone, so no watchdog serves them."""
    share = next((share for share, _, _ in named_datasets(draft)), None)
    if share is not None and draft.pair is not None and len(draft.sides) < 2 and not draft.incomplete:
        what = "the watchdog serves shares, and it has nothing to do in a Pair with one controller"
        yield share, (), what, "Describe the other controller in the Pair, and add a Failover."


@defect("state-pool")
def state_pool_unclear(draft: SpecDraft) -> Iterator[Finding]:
    """It is not clear in which pool the servers of shares keep their state."""
    written = written_state_pools(draft)
    for server, pool in written:
        if pool not in draft.pools and not draft.incomplete:
            remedy = suggestion(pool, draft.pools) if draft.pools else "Describe its disks with kind Pool."
            yield server, ("pool",), f"there is no Pool `{pool}`", remedy
    if len({pool for _, pool in written}) > 1:
        (first, pool), (second, other) = written
        what = f"NFS and iSCSI keep their state in one dataset, and {first.id} names `{pool}` for it, not `{other}`"
        yield second, ("pool",), what, "Name one pool in both, or take it out here."
    used = shares_by_pool(draft)
    if not written and len(used) > 1 and not draft.incomplete:
        names = sorted(used)
        asked: Resource[Any] | None = draft.nfs_server or draft.iscsi_server
        what = f"shares are in {len(used)} pools, and nothing says which of them keeps the state of the servers"
        remedy = f"Write pool: {names[0]} in an NfsServer or IscsiServer; never change it while clients hold locks."
        yield (asked or used[names[-1]]), (), what, remedy


@defect("state-dataset")
def state_dataset_taken(draft: SpecDraft) -> Iterator[Finding]:
    """A Dataset describes the state dataset, or one below it."""
    state = state_dataset(draft)
    for dataset in draft.datasets.values():
        if state is not None and (dataset.spec.dataset == state or is_inside(dataset.spec.dataset, state)):
            what = f"`{state}` is hagit's own: the servers of shares keep in it what they know of their clients"
            yield dataset, ("dataset",), what, f"Use another name than {STATE_NAME}; hagit makes and sets it by itself."


@defect("key-elsewhere", warning=True)
def key_elsewhere(draft: SpecDraft) -> Iterator[Finding]:
    """The key of a dataset lies where a controller that takes over does not find it."""
    described = described_datasets(draft)
    places = {
        mount_place(dataset.spec.dataset, described): dataset.spec.dataset
        for dataset in draft.datasets.values()
        if dataset.spec.type is DatasetKind.FILESYSTEM and not dataset.spec.destroy
    }
    for dataset in draft.datasets.values():
        location = dataset.spec.properties.keylocation
        if location is None or dataset.spec.destroy:
            continue
        file = location.removeprefix("file://")
        remedy = "Keep it in a file of the same name on the disks of both controllers: file:///etc/hagit/keys/NAME."
        above = (place for place in ancestors(file) if place in places)
        if (place := next(above, None)) is not None:
            what = f"the key lies in `{places[place]}`, which is mounted at {place} and may need the key itself"
            yield dataset, ("properties", "keylocation"), what, remedy
        elif any(file.startswith(f"{lost}/") for lost in _LOST):
            what = f"{file} is lost with a restart, or is on one controller alone: the other one could not take over"
            yield dataset, ("properties", "keylocation"), what, remedy


def too_many(draft: SpecDraft) -> Iterator[Complaint]:
    """More shares, or more clients and LUNs of them, than the sealed file of the shares can hold."""
    shares: list[Resource[Any]] = [*draft.exports.values(), *draft.targets.values()]
    if len(shares) > SHARES_MAX:
        what = f"{len(shares):,} exports and targets; {SHARES_MAX:,} are the limit"
        remedy = "Export datasets higher up, or put several volumes into one target."
        yield shares[SHARES_MAX].complaint((), what, remedy, "too-many")
    entries = sum(len(export.spec.clients) for export in draft.exports.values())
    entries += sum(len(target.spec.luns) + len(target.spec.initiators) for target in draft.targets.values())
    if entries > SHARE_ENTRIES_MAX:
        what = f"{entries:,} clients, initiators and LUNs of all shares; {SHARE_ENTRIES_MAX:,} are the limit"
        yield shares[-1].complaint((), what, "Name networks in place of single clients.", "too-many")


def ancestors(place: str) -> Iterator[str]:
    """The directories above a place, the nearest first, without the root."""
    while place := place.rpartition("/")[0]:
        yield place
