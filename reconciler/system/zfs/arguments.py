"""The argument vectors of zpool(8) and zfs(8), made from values. Pure; decides nothing and runs nothing.

Names have been looked at before (`names`): none begins like an option.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from reconciler.core.facts.storage import DatasetKind
from reconciler.system.zfs.values import LayoutVdev, PoolLayout, VdevKind, VdevRole

Argv = tuple[str, ...]
#: What `tables.settings_of` reads.
_SETTINGS: Final = "name,property,value,source"


def pool_properties(*pools: str) -> Argv:
    """All properties of imported pools, of all when none is named."""
    return ("zpool", "get", "-Hp", "-o", _SETTINGS, "all", *pools)


def pool_guids(*pools: str) -> Argv:
    """Name and GUID of imported pools."""
    return ("zpool", "get", "-Hp", "-o", "name,value", "guid", *pools)


def pool_status(*pools: str) -> Argv:
    """The devices of imported pools, with whole paths and exact numbers."""
    return ("zpool", "status", "-P", "-p", *pools)


def dataset_properties(dataset: str, wanted: Iterable[str] = ("all",), *, below: bool = True) -> Argv:
    """Properties of a filesystem or volume and of everything `below` it; all, with user properties, if not `wanted`."""
    depth = ("-r",) if below else ()
    return ("zfs", "get", "-Hp", *depth, "-t", "filesystem,volume", "-o", _SETTINGS, ",".join(wanted), dataset)


def vdev_words(role: VdevRole, vdev: LayoutVdev, directory: str) -> Argv:
    """One vdev as zpool-create(8) wants it."""
    kind = () if vdev.kind is VdevKind.DISK else (vdev.kind.value,)
    return (*((role.value,) if role.value else ()), *kind, *(f"{directory}/{disk}" for disk in vdev.disks))


def layout_words(layout: PoolLayout, directory: str) -> Argv:
    """A whole layout. Several log, special or dedup vdevs each carry their word."""
    words: list[str] = []
    for role, vdev in layout.top_level():
        words += vdev_words(role, vdev, directory)
    for role, disks in ((VdevRole.CACHE, layout.cache), (VdevRole.SPARE, layout.spares)):
        if disks:
            words += vdev_words(role, LayoutVdev(VdevKind.DISK, disks), directory)
    return tuple(words)


def options(flag: str, settings: Mapping[str, str]) -> Argv:
    """`-o name=value` for each setting, by name."""
    return tuple(word for name in sorted(settings) for word in (flag, f"{name}={settings[name]}"))


def create_pool(
    name: str,
    layout: PoolLayout,
    directory: str,
    settings: Mapping[str, str],
    root_settings: Mapping[str, str],
    *,
    force: bool,
) -> Argv:
    """`zpool create`, in no cachefile, so that nothing imports it at boot. `force`: over what is found on the disks."""
    own = {"cachefile": "none", "failmode": "panic", **settings}
    return (
        *("zpool", "create"),
        *(("-f",) if force else ()),
        *options("-o", own),
        *options("-O", root_settings),
        name,
        *layout_words(layout, directory),
    )


def set_pool_property(pool: str, name: str, value: str) -> Argv:
    """`zpool set`."""
    return ("zpool", "set", f"{name}={value}", pool)


def create_dataset(
    name: str, kind: DatasetKind, settings: Mapping[str, str], size_bytes: int | None, *, sparse: bool, parents: bool
) -> Argv:
    """`zfs create`, for a volume with its size."""
    volume = ("-s",) * sparse + ("-V", str(size_bytes)) if kind is DatasetKind.VOLUME else ()
    return ("zfs", "create", *(("-p",) if parents else ()), *volume, *options("-o", settings), name)


def set_properties(dataset: str, settings: Mapping[str, str]) -> Argv:
    """`zfs set`, all at once."""
    return ("zfs", "set", *(f"{name}={settings[name]}" for name in sorted(settings)), dataset)


def inherit(dataset: str, name: str) -> Argv:
    """`zfs inherit`: as the parent has it, or the default."""
    return ("zfs", "inherit", name, dataset)


def destroy_snapshots(name: str) -> Argv:
    """All snapshots of one dataset, none of its children's (zfs-destroy(8): a range without ends)."""
    return ("zfs", "destroy", f"{name}@%")


def destroy_dataset(name: str) -> Argv:
    """`zfs destroy` of what has neither snapshots nor children; never with -r, which takes the children along."""
    return ("zfs", "destroy", name)


# The takeover -------------------------------------------------------------------------------------------------------


def import_pool(guid: int, devices: Iterable[str], *, mount: bool = False) -> Argv:
    """Import one pool from exactly these devices (options: `pool_adapter`). `mount`: load keys and mount, too."""
    where = tuple(word for device in devices for word in ("-d", device))
    how = "-l" if mount else "-N"
    return ("zpool", "import", *where, "-o", "cachefile=none", "-o", "failmode=panic", how, "-f", str(guid))


def export_pool(name: str) -> Argv:
    """`zpool export`: unmounts, and ends what is cached."""
    return ("zpool", "export", name)


def mountable(pools: Iterable[str]) -> Argv:
    """What has to be known to mount the filesystems of pools."""
    columns = "name,type,canmount,mountpoint,mounted,keystatus,keylocation,encryptionroot"
    return ("zfs", "list", "-Hp", "-r", "-t", "filesystem,volume", "-o", columns, *pools)


def mount_all() -> Argv:
    """`zfs mount -a`: everything that is to be mounted and can be, many at a time, parents before children."""
    return ("zfs", "mount", "-a")


def load_key(root: str) -> Argv:
    """`zfs load-key` from where the property keylocation says."""
    return ("zfs", "load-key", root)
