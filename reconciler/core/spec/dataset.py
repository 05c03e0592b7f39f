"""The kind Dataset: a filesystem or a volume of a pool, with what is wanted of it.

Decides the shape of one dataset by itself; what two of them mean together is `lint`'s. Only properties that are written
are managed; all others are left as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from pydantic import Field

from reconciler.core.facts.scope import Scope
from reconciler.core.facts.storage import STAMP, Dataset, DatasetKind, Options, Property, dataset_key, pool_of, ways_up
from reconciler.core.spec.interface import Loose
from reconciler.core.spec.model import Document, Model, example
from reconciler.core.spec.resource_kind import Asked, Destruction, ResourceKind
from reconciler.core.spec.sizes import (
    BlockSize,
    Compression,
    DatasetName,
    KeyLocation,
    MountPoint,
    Quota,
    RecordSize,
    Size,
)
from reconciler.core.spec.tree import Path

if TYPE_CHECKING:
    from reconciler.core.spec.configuration import Configuration, Resource
    from reconciler.core.spec.topology import ControllerTopology

Switch: TypeAlias = Literal["on", "off"]
Cache: TypeAlias = Literal["all", "none", "metadata"]

#: A new filesystem starts without device files and set-user-ID bits (zfsprops(7)), unless it or one above it says
#: otherwise: its files belong to clients, and root works on the controller.
SAFE: Final[Options] = (("devices", "off"), ("setuid", "off"))
#: Properties that only one kind of dataset has (zfsprops(7)).
OF_FILESYSTEMS: Final = (
    "aclinherit", "aclmode", "acltype", "atime", "canmount", "casesensitivity", "devices", "exec", "normalization",
    "recordsize", "relatime", "setuid", "snapdir", "utf8only", "xattr",
)  # fmt: skip
OF_VOLUMES: Final = ("volblocksize", "volmode")
#: Keys of the spec that are properties, by their names in ZFS.
SIZES: Final = {
    "size": "volsize",
    "quota": "quota",
    "refquota": "refquota",
    "reservation": "reservation",
    "refreservation": "refreservation",
}


class DatasetProperties(Model):
    """Properties by their names in zfsprops(7). What is not written is not managed."""

    aclinherit: Literal["discard", "noallow", "restricted", "passthrough", "passthrough-x"] | None = Field(
        None, description="How new files get the entries of NFSv4 ACLs of their directory."
    )
    aclmode: Literal["discard", "groupmask", "passthrough", "restricted"] | None = Field(
        None, description="What chmod(2) does with an NFSv4 ACL."
    )
    acltype: Literal["off", "nfsv4", "posix"] | None = Field(None, description="Which kind of ACL files have.")
    atime: Switch | None = Field(None, description="Whether reading a file notes when.")
    canmount: Literal["on", "off", "noauto"] | None = Field(
        None, description="Whether a takeover mounts it: on does, noauto leaves it unmounted."
    )
    casesensitivity: Literal["sensitive", "insensitive", "mixed"] | None = Field(
        None, description="Whether names differ that differ in case. Chosen when the dataset is made."
    )
    checksum: Literal["on", "fletcher4", "sha256", "sha512", "skein", "edonr", "blake3"] | None = Field(
        None, description="How damage of data is found."
    )
    compression: Compression | None = Field(None, description="How data is compressed that is written from now on.")
    copies: int | None = Field(None, ge=1, le=3, description="How many copies of data are kept.", examples=[1])
    dedup: Literal["on", "off", "verify"] | None = Field(
        None, description="Whether equal blocks are kept once; it costs much memory."
    )
    devices: Switch | None = Field(
        None,
        description="Whether device files work. Off in filesystems that hagit makes, unless on is written.",
    )
    encryption: Literal["off", "aes-128-gcm", "aes-192-gcm", "aes-256-gcm"] | None = Field(
        None, description="Encryption of data. Chosen when the dataset is made, with keyformat and keylocation."
    )
    exec: Switch | None = Field(None, description="Whether programs can be run from it.")
    keyformat: Literal["raw", "hex", "passphrase"] | None = Field(
        None, description="What the file with the key holds. Chosen when the dataset is made."
    )
    keylocation: KeyLocation | None = Field(
        None, description="The file with the key, outside git and the same on both controllers, or none takes over."
    )
    logbias: Literal["latency", "throughput"] | None = Field(
        None, description="Whether synchronous writes go through the log device."
    )
    normalization: Literal["none", "formC", "formD", "formKC", "formKD"] | None = Field(
        None, description="The Unicode form in which names are compared. Chosen when the dataset is made."
    )
    primarycache: Cache | None = Field(None, description="What is kept in memory (ARC).")
    readonly: Switch | None = Field(None, description="Whether nothing can be written.")
    recordsize: RecordSize | None = Field(None, description="The largest block of files that come from now on.")
    relatime: Switch | None = Field(None, description="Whether the time of reading is noted once a day only.")
    secondarycache: Cache | None = Field(None, description="What is kept on cache devices (L2ARC).")
    setuid: Switch | None = Field(
        None, description="Whether set-user-ID bits count. Off in filesystems that hagit makes, unless on is written."
    )
    snapdir: Literal["hidden", "visible"] | None = Field(None, description="Whether .zfs is listed.")
    sync: Literal["standard", "always", "disabled"] | None = Field(
        None, description="When synchronous writes are answered; with disabled, a power cut loses answered ones."
    )
    utf8only: Switch | None = Field(
        None, alias="utf8only", description="Whether names must be UTF-8. Chosen when the dataset is made."
    )
    volblocksize: BlockSize | None = Field(None, description="The block of a volume. Chosen when the volume is made.")
    volmode: Literal["default", "full", "geom", "dev", "none"] | None = Field(
        None, description="How the system shows a volume: full with partitions, dev without."
    )
    xattr: Literal["on", "off", "sa"] | None = Field(None, description="Where extended attributes are kept.")

    def written(self) -> Iterator[tuple[str, str]]:
        """Every property that is written, with its value as `zfs get -p` prints it."""
        for name in sorted(self.model_fields_set):
            value = getattr(self, name)
            if value is not None:
                yield name, str(value)


class DatasetSpec(Model):
    """A dataset and what is wanted of it."""

    dataset: DatasetName = Field(
        description="Its whole name: the pool, and the names below it. The pool alone is its root."
    )
    type: Annotated[DatasetKind, Loose] = Field(
        DatasetKind.FILESYSTEM, description="filesystem for files, volume for one block device."
    )
    size: Size | None = Field(None, description="The size of a volume; it can grow, and never shrinks.")
    quota: Quota | None = Field(None, description="What it may take up with everything below it.")
    refquota: Quota | None = Field(None, description="What it may take up by itself, without snapshots.")
    reservation: Quota | None = Field(None, description="What is kept free for it and everything below it.")
    refreservation: Quota | None = Field(
        None, description="What is kept free for it alone. none makes a volume sparse."
    )
    mountpoint: MountPoint | None = Field(
        None,
        description="Where a filesystem is mounted: a place for data, never one of the system. When not given, below "
        "the mount point of what is above it.",
    )
    create: bool = Field(True, description="Whether to make it where it is not; false says that it has to be there.")
    destroy: bool = Field(
        False,
        description="Destroys it with all its data when the revision is applied, unless it is protected. Taking the "
        "resource out of the configuration never does.",
    )
    protected: bool = Field(True, description="Whether `destroy` is only shown, and held.")
    properties: DatasetProperties = Field(
        default_factory=lambda: DatasetProperties.model_validate({}), description="Properties by their names in ZFS."
    )

    def settings(self) -> Iterator[tuple[Path, str, str]]:
        """Every property that is written: its path inside the spec, name and value as `zfs get -p` prints it."""
        for key, name in SIZES.items():
            value = getattr(self, key)
            if value is not None:
                yield (key,), name, str(value)
        if self.mountpoint is not None:
            yield ("mountpoint",), "mountpoint", self.mountpoint
        yield from ((("properties", name), name, value) for name, value in self.properties.written())

    @property
    def pool(self) -> str:
        """The name of its pool."""
        return pool_of(self.dataset)


class DatasetDocument(Document):
    """A filesystem or volume of a pool, with its properties. The active controller sees to it."""

    model_config = example(
        "Dataset", "home", dataset="tank/home", quota="2T", mountpoint="/srv/home", properties={"compression": "zstd"}
    )

    kind: Literal["Dataset"] = Field(description="Always `Dataset`.")
    spec: DatasetSpec = Field(description="The dataset.")


def described(configuration: Configuration) -> dict[str, DatasetSpec]:
    """Every dataset of the configuration by its whole name."""
    return {resource.spec.dataset: resource.spec for resource in configuration.datasets.values()}


def options_at_birth(resource: Resource[DatasetSpec], described: Mapping[str, DatasetSpec]) -> Options:
    """All properties that a dataset is made with: what is written, the safe defaults, and its stamp.

    Everything is set at once, because some properties can be chosen only at creation. `described`: see `described`.
    """
    spec = resource.spec
    ways = (spec.dataset, *ways_up(spec.dataset))
    said = {name for way in ways if way in described for _, name, _ in described[way].settings()}
    safe = () if spec.type is DatasetKind.VOLUME else tuple(one for one in SAFE if one[0] not in said)
    return (*((name, value) for _, name, value in spec.settings()), *safe, (STAMP, resource.name))


def dataset_facts(configuration: Configuration, here: ControllerTopology) -> Iterator[Asked]:
    """Each dataset that is not to be destroyed, each property that is written, and its stamp."""
    known = described(configuration)
    for resource in configuration.datasets.values():
        spec = resource.spec
        if spec.destroy:
            continue
        yield Dataset(spec.dataset, spec.type, spec.create, options_at_birth(resource, known)), resource, ()
        for path, name, value in spec.settings():
            yield Property(spec.dataset, name, value), resource, path
        yield Property(spec.dataset, STAMP, resource.name), resource, ()


def dataset_destructions(configuration: Configuration) -> Iterator[Destruction]:
    """The keys of datasets that are to be destroyed, whether they are protected, and who asks."""
    for resource in configuration.datasets.values():
        if resource.spec.destroy:
            pool = configuration.pools.get(resource.spec.pool)
            protected = resource.spec.protected or (pool is not None and pool.spec.protected)
            yield dataset_key(resource.spec.dataset), protected, resource


DATASET = ResourceKind(
    "Dataset",
    DatasetDocument,
    DatasetSpec,
    Scope.STORAGE,
    facts=dataset_facts,
    destroys=dataset_destructions,
    # Without protection a `destroy` that was only shown takes effect.
    field_scopes={"protected": Scope.DESTROY, "destroy": Scope.DESTROY},
    unwritten={"protected": True, "destroy": False},
)
