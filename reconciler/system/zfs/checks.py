"""What makes a takeover of the pools unsafe, slow or impossible, told in words before it happens.

`findings` is pure and decides what is worth telling; `gather` reads what it needs: files, labels, and properties of the
pools that are imported here. Nothing is changed.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.current_copies import pools_of
from reconciler.system.findings import Finding
from reconciler.system.zfs import arguments, observe, tools
from reconciler.system.zfs.devices import data_path
from reconciler.system.zfs.import_devices import find_import_devices
from reconciler.system.zfs.kstat import loaded, pool_state
from reconciler.system.zfs.label_reader import read_labels
from reconciler.system.zfs.labels import Label, LabelState
from reconciler.system.zfs.mounts import parse_mountable, unmounted
from reconciler.system.zfs.values import ImportedPool, Unseen

#: Units of Debian's zfsutils-linux that import pools at boot (zfs-import-scan.service and its kin).
IMPORT_UNITS: Final = ("zfs-import-cache.service", "zfs-import-scan.service")
UNIT_PLACES: Final = ("lib/systemd/system", "usr/lib/systemd/system", "etc/systemd/system")
MASK_PLACES: Final = ("etc/systemd/system", "run/systemd/system")
#: Filesystems that are named in one finding.
NAMES_MAX: Final = 5
SPL_HOSTID: Final = "sys/module/spl/parameters/spl_hostid"


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the findings follow from. `labels`: of the disks that answered, by their numbers in the orders.

    `pools`: what is imported here, None when ZFS did not say. `unmasked`: units that would import pools at boot.
    `theirs`: the peer has the pools imported, so it wrote their labels. `unmounted`: of the pools that are
    here, what should be mounted and is not (`mounts`).
    """

    hostid: int
    hostname: str
    zfs: bool
    labels: Mapping[int, Label | None]
    pools: tuple[ImportedPool, ...] | None
    unmasked: tuple[str, ...]
    theirs: bool = False
    unmounted: tuple[str, ...] = ()


def findings(orders: Orders, found: Gathered) -> tuple[Finding, ...]:
    """Everything that is wrong, the worst first. Pure."""
    if not found.zfs:
        return (
            Finding(
                "ZFS_MISSING",
                "this controller cannot import a pool",
                "/proc/spl/kstat/zfs is not there",
                "install zfs-dkms and zfsutils-linux for the running kernel, and load the module zfs at boot",
            ),
        )
    return (
        *_unmounted(found),
        *_hostids(found),
        *_strangers(orders, found),
        *(
            Finding(
                "ZFS_IMPORT_UNIT",
                "pools may be imported at boot, by a controller that did not claim them",
                f"{unit} is not masked",
                f"systemctl mask {unit}",
            )
            for unit in found.unmasked
        ),
        *_properties(orders, found),
    )


def _unmounted(found: Gathered) -> tuple[Finding, ...]:
    if not found.unmounted:
        return ()
    more = len(found.unmounted) - NAMES_MAX
    return (
        Finding(
            "ZFS_UNMOUNTED",
            "filesystems are not mounted: their clients find nothing",
            ", ".join(found.unmounted[:NAMES_MAX]) + (f" and {more} more" if more > 0 else ""),
            "zfs load-key for what is locked, then zfs mount -a; the journal of the watchdog has what was refused",
        ),
    )


def _hostids(found: Gathered) -> tuple[Finding, ...]:
    if found.hostid == 0:
        return (
            Finding(
                "ZFS_NO_HOSTID",
                "ZFS cannot tell the controllers apart",
                "neither /etc/hostid nor the module spl gives a hostid",
                "run zgenhostid on each controller, and restart it",
            ),
        )
    twins = sorted(
        {
            label.hostname or "the peer"
            for label in found.labels.values()
            if label is not None and label.hostid == found.hostid and _is_of_the_peer(label, found)
        }
    )
    return tuple(
        Finding(
            "ZFS_SAME_HOSTID",
            "both controllers have one hostid: ZFS takes the pools of the peer for its own",
            f"{name} wrote the labels with hostid {found.hostid:08x}, which is ours",
            "run zgenhostid -f on one controller, and restart it while it is standby",
        )
        for name in twins
    )


def _is_of_the_peer(label: Label, found: Gathered) -> bool:
    """Whether the peer wrote this label. Copies of one disk image have one hostname, too: then its word decides."""
    if label.hostname and label.hostname != found.hostname:
        return True
    return found.theirs and label.state == LabelState.ACTIVE


def _strangers(orders: Orders, found: Gathered) -> tuple[Finding, ...]:
    """Devices that the orders do not name: on labels, and cache devices and spares, which no label of a pool has."""
    findings = []
    for pool in pools_of(orders):
        one = find_import_devices(pool, orders, found.labels)
        if one.guid and one.refusal:
            findings.append(one.refusal)
    for seen in found.pools or ():
        if seen.name in pools_of(orders):
            others = sorted(member.path for member in seen.members if member.disk not in orders.disks)
            if others:
                findings.append(f"pool {seen.name} has {', '.join(others)}, which the configuration does not name")
    return tuple(
        Finding(
            "ZFS_STRANGE_DEVICE",
            "a pool has a device that is not fenced, and that perhaps only one controller reaches",
            evidence,
            "write every disk of the pool into its Pool, or remove the device from the pool",
        )
        for evidence in findings
    )


def _properties(orders: Orders, found: Gathered) -> tuple[Finding, ...]:
    findings = []
    for pool in found.pools or ():
        if pool.name not in pools_of(orders):
            continue
        for name, wanted, text in (
            ("multihost", "off", "every takeover waits 20 s and longer for what the reservations have settled"),
            ("failmode", "panic", "a controller that was fenced goes on answering from memory"),
            ("cachefile", "none", "the pool may be imported at boot, by a controller that did not claim it"),
        ):
            setting = pool.setting(name)
            if setting is not None and setting.value != wanted:
                remedy = f"zpool set {name}={wanted} {pool.name}"
                findings.append(
                    Finding(f"ZFS_{name.upper()}", text, f"{name} of {pool.name} is {setting.value}", remedy)
                )
    return tuple(findings)


# Reading ------------------------------------------------------------------------------------------------------------


def gather(
    orders: Orders, directory: Path, deadline_s: float, *, theirs: bool = False, root: Path = Path("/")
) -> Gathered:
    """Read everything that `findings` wants, within the deadline. `root`: where the files of this machine are.

    Programs are run only where a pool of the orders is imported.
    """
    end_s = time.monotonic() + deadline_s
    paths = {at: data_path(directory, name) for at, name in enumerate(orders.disks)}
    labels = read_labels(paths, deadline_s / 2)
    imported = tuple(pool for pool in pools_of(orders) if pool_state(pool) is not None)
    left_s = max(0.0, end_s - time.monotonic())
    pools = observe.pools(orders.disks, directory=directory, deadline_s=left_s) if imported else ()
    return Gathered(
        hostid=hostid(root),
        hostname=socket.gethostname(),
        zfs=loaded(),
        labels=labels,
        pools=None if isinstance(pools, Unseen) else pools,
        unmasked=unmasked(root),
        theirs=theirs,
        unmounted=_seen_unmounted(imported, max(0.0, end_s - time.monotonic())),
    )


def _seen_unmounted(pools: tuple[str, ...], deadline_s: float) -> tuple[str, ...]:
    """Nothing where ZFS did not say."""
    match tools.run(arguments.mountable(pools), deadline_s=deadline_s) if pools else None:
        case tools.Ended(0, stdout, _):
            return unmounted(parse_mountable(stdout))
        case _:
            return ()


def hostid(root: Path = Path("/")) -> int:
    """What ZFS takes for the id of this machine: the module's parameter, else /etc/hostid; 0: none (spl(4))."""
    try:
        given = int((root / SPL_HOSTID).read_text(), 0)
    except (OSError, ValueError):
        given = 0
    if given:
        return given & 0xFFFFFFFF
    try:
        return int.from_bytes((root / "etc/hostid").read_bytes()[:4], "little")
    except OSError:
        return 0


def unmasked(root: Path = Path("/")) -> tuple[str, ...]:
    """The units of IMPORT_UNITS that are installed and not masked (systemctl(1))."""
    return tuple(
        unit
        for unit in IMPORT_UNITS
        if any((root / place / unit).is_file() for place in UNIT_PLACES)
        and not any(_masks(root / place / unit) for place in MASK_PLACES)
    )


def _masks(path: Path) -> bool:
    try:
        return path.readlink() == Path("/dev/null")
    except OSError:
        return False
