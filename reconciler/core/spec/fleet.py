"""A fleet: many pairs in one repository, and values that no two pairs may have.

Each pair is loaded by itself, and then asked for its unique values: names, serial numbers, disks, addresses. Two pairs
with one of them are a defect, mostly of a folder that was copied. Addresses, host names and virtual host ids are
compared only among pairs of one site, because pairs of different sites have no network in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.core.spec.configuration import CONTROLLERS, Configuration, Resource
from reconciler.core.spec.interface import InterfaceSpec, Role
from reconciler.core.spec.text import decode, is_yaml
from reconciler.core.spec.tree import Path, documents
from reconciler.errors import Complaint

#: Complaints about values that two pairs have.
CODE = "pairs-share"


@dataclass(frozen=True, slots=True)
class UniqueValue:
    """A value that one pair of a fleet may have: `what` it is in words, `key` to compare, and where it is written."""

    what: str
    key: tuple[str, ...]
    remedy: str
    folder: str
    place: Complaint


def has_pair(path: str, data: bytes) -> bool:
    """Whether a file has a document of kind Pair; the folder of this file is that of a pair."""
    if not is_yaml(path) or not (b"Pair" in data or b"\\" in data):
        return False
    text, _ = decode(path, data)
    return any(
        isinstance(document.value, dict) and document.value.get("kind") == "Pair" for document in documents(path, text)
    )


def unique_values(configuration: Configuration, folder: str) -> Iterator[UniqueValue]:
    """The values of one pair that no other pair of the fleet may have."""
    pair = configuration.pair
    spec, site = pair.spec, pair.spec.site or ""
    make = _Maker(folder)
    yield make.value(pair, (), f"the name `{pair.name}`", ("pair", pair.name), "Give each pair a name of its own.")
    names: list[tuple[Path, str]] = []
    if spec.virtual_hostname is not None:
        names.append((("virtualHostname",), spec.virtual_hostname))
    for controller in CONTROLLERS:
        half = spec.half(controller)
        if half is None:
            continue
        names.append(((controller, "hostname"), half.hostname))
        if half.serial is not None:
            remedy = "Each controller has its own; failover is enabled on no other machine."
            what = f"the serial number `{half.serial}`"
            yield make.value(pair, (controller, "serial"), what, ("serial", half.serial), remedy)
    for path, name in names:
        full = (f"{name}.{spec.domain}" if spec.domain and "." not in name else name).lower()
        yield make.value(pair, path, f"the host name `{full}`", ("host", site, full), _OTHER_SITE)
    for interface in configuration.interfaces.values():
        yield from _of_interface(make, interface, site)
    for pool in configuration.pools.values():
        for path, disk in pool.spec.disks():
            remedy = "One pair fences its disks against all others: each disk belongs to one pair."
            yield make.value(pool, path, f"the disk `{disk}`", ("disk", disk), remedy)
    for target in configuration.targets.values():
        remedy = "Initiators take it for one target: give each its own."
        yield make.value(target, ("iqn",), f"the iSCSI name `{target.spec.iqn}`", ("iqn", target.spec.iqn), remedy)


def doubled(values: Iterable[UniqueValue]) -> list[Complaint]:
    """A complaint for each value that a pair has and an earlier one has already."""
    first: dict[tuple[str, ...], UniqueValue] = {}
    found: dict[Complaint, None] = {}
    for value in values:
        known = first.setdefault(value.key, value)
        if known.folder != value.folder:
            here, there = value.place, known.place
            what = f"the pairs in `{_shown(known.folder)}` and `{_shown(value.folder)}` both have {value.what}; "
            what += f"the first is at {there.file}:{there.line}:{there.column}"
            found[Complaint(here.file, here.line, here.column, what, value.remedy, CODE)] = None
    return list(found)


def without_pair(paths: Iterable[str], folders: Mapping[str, tuple[str, ...]]) -> list[Complaint]:
    """A warning for each folder whose YAML files no pair reads. `folders`: those of pairs, with what each shares."""
    read = {*folders, *(name for shared in folders.values() for name in shared)}
    lonely = sorted({path.rpartition("/")[0] for path in paths if not read.intersection(_folders_above(path))})
    what, remedy = "no pair reads the YAML files here", "Add a Pair, or name the folder in `shared` of a Pair."
    return [Complaint(_shown(folder), 0, 0, what, remedy, "no-pair") for folder in lonely]


def _folders_above(path: str) -> Iterator[str]:
    """The folders that a file lies in, the nearest first, the root of the repository as the last."""
    while path:
        path = path.rpartition("/")[0]
        yield path


_OTHER_SITE = "Give each its own; pairs that have no network in common differ in `site` of the Pair."


@dataclass(frozen=True, slots=True)
class _Maker:
    folder: str

    def value(self, resource: Resource[Any], path: Path, what: str, key: tuple[str, ...], remedy: str) -> UniqueValue:
        """The value at `path` of a resource."""
        return UniqueValue(what, key, remedy, self.folder, resource.complaint(path, "", "", CODE))


def _of_interface(make: _Maker, interface: Resource[InterfaceSpec], site: str) -> Iterator[UniqueValue]:
    """MAC addresses; addresses, but not those of the private link; virtual host ids, each with its network."""
    spec = interface.spec
    for controller in CONTROLLERS:
        half = spec.half(controller)
        if half is None:
            continue
        if half.match is not None and half.match.mac is not None:
            mac = half.match.mac
            remedy = "`ip link` shows the address of each NIC."
            yield make.value(interface, (controller, "match", "mac"), f"the MAC address `{mac}`", ("mac", mac), remedy)
        for path, address in half.all():
            if spec.role is not Role.INTERLINK and not address.ip.is_link_local:
                key = ("address", site, str(address.ip))
                yield make.value(interface, (controller, *path), f"the address {address.ip}", key, _OTHER_SITE)
    if spec.virtual is None:
        return
    for path, address in spec.virtual.all():
        key = ("address", site, str(address.ip))
        yield make.value(interface, ("virtual", *path), f"the address {address.ip}", key, _OTHER_SITE)
        what = f"the VHID {spec.virtual.vhid} in the network {address.network}"
        number = ("vhid", site, str(address.network), str(spec.virtual.vhid))
        yield make.value(interface, ("virtual", "vhid"), what, number, _OTHER_SITE)


def _shown(folder: str) -> str:
    return folder or "."
