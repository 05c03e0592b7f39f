"""The kind Pool: which disks make which top-level vdevs, so that a takeover knows what it has to fence; and properties.

Decides the shape of one pool by itself; that no disk stands in two of them is `lint`'s. What is written besides the
disks is the agent's on the active controller; a pool of which only the disks are written is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from pydantic import Field, model_validator

from reconciler.core.facts.scope import Scope
from reconciler.core.facts.storage import Pool, PoolProperty
from reconciler.core.spec.dataset import SAFE, described, options_at_birth
from reconciler.core.spec.interface import Loose
from reconciler.core.spec.limits import LIST_MAX
from reconciler.core.spec.model import Document, Model, example
from reconciler.core.spec.resource_kind import Asked, ResourceKind
from reconciler.core.spec.share_state import state_pool
from reconciler.core.spec.sizes import Comment
from reconciler.core.spec.tree import Path
from reconciler.core.spec.values import DiskName, refuse

if TYPE_CHECKING:
    from reconciler.core.spec.configuration import Configuration
    from reconciler.core.spec.topology import ControllerTopology


class VdevType(StrEnum):
    """How the disks of a vdev share the data (zpoolconcepts(7))."""

    DISK = "disk"
    MIRROR = "mirror"
    RAIDZ1 = "raidz1"
    RAIDZ2 = "raidz2"
    RAIDZ3 = "raidz3"


#: Disks that a raidz vdev can lose.
PARITY: Final = {VdevType.RAIDZ1: 1, VdevType.RAIDZ2: 2, VdevType.RAIDZ3: 3}
#: zpoolconcepts(7): the least number of disks of each type is one more than what may fail.
LEAST: Final = {VdevType.DISK: 1, VdevType.MIRROR: 2} | {kind: parity + 1 for kind, parity in PARITY.items()}


class PoolVdev(Model):
    """Disks that make one top-level vdev; of type `disk`, each disk is one by itself."""

    type: Annotated[VdevType, Loose] = Field(description="How the disks share the data.")
    disks: list[DiskName] = Field(
        min_length=1, max_length=LIST_MAX, description="The disks, by their names in /dev/disk/by-id."
    )

    @model_validator(mode="after")
    def _enough(self) -> PoolVdev:
        if len(self.disks) < LEAST[self.type]:
            what = f"a {self.type} of {len(self.disks)} disk{'s' if len(self.disks) > 1 else ''}"
            raise refuse("vdev-small", what, f"It needs {LEAST[self.type]} or more.")
        return self

    @property
    def needed(self) -> int:
        """The least number of its disks with which it can be written."""
        return len(self.disks) - PARITY[self.type] if self.type in PARITY else 1


class LogVdev(PoolVdev):
    """A log device: a disk or a mirror."""

    @model_validator(mode="after")
    def _no_raidz(self) -> LogVdev:
        if self.type in PARITY:
            raise refuse("log-raidz", f"a log device cannot be {self.type}", "Make it a mirror, or a disk.")
        return self


Switch: TypeAlias = Literal["on", "off"]


class PoolProperties(Model):
    """Properties of a pool by their names in zpoolprops(7). What is not written is not managed."""

    ashift: int | None = Field(
        None,
        ge=9,
        le=16,
        description="The sector size of its disks as a power of two: 12 is 4 KiB. Chosen when the pool is made.",
        examples=[12],
    )
    autoexpand: Switch | None = Field(None, description="Whether the pool grows when all disks of a vdev have grown.")
    autoreplace: Switch | None = Field(
        None, description="Whether a new disk in the place of an old one is used without being asked for."
    )
    autotrim: Switch | None = Field(None, description="Whether disks are told at once what is no longer used.")
    comment: Comment | None = Field(None, description="A text that can be read even while the pool cannot be imported.")
    delegation: Switch | None = Field(None, description="Whether `zfs allow` counts.")

    def written(self) -> Iterator[tuple[str, str]]:
        """Every property that is written, with its value as `zpool get -p` prints it."""
        for name in sorted(self.model_fields_set):
            value = getattr(self, name)
            if value is not None:
                yield name, str(value)


class PoolSpec(Model):
    """The layout of one pool: every disk of it has to be here, because what is not here is not fenced."""

    vdevs: list[PoolVdev] = Field(
        min_length=1, max_length=LIST_MAX, description="The top-level vdevs that hold the data, in their order."
    )
    log: list[LogVdev] = Field(
        default_factory=list, max_length=LIST_MAX, description="Log devices (SLOG), each a disk or a mirror."
    )
    special: list[PoolVdev] = Field(
        default_factory=list, max_length=LIST_MAX, description="Special and dedup vdevs: metadata and small blocks."
    )
    cache: list[DiskName] = Field(
        default_factory=list, max_length=LIST_MAX, description="Cache devices (L2ARC). They hold nothing of their own."
    )
    spares: list[DiskName] = Field(
        default_factory=list, max_length=LIST_MAX, description="Disks that take the place of one that fails."
    )
    create: bool = Field(
        False,
        description="Whether the active controller makes the pool when it is not there. Never over what looks like "
        "another pool or file system.",
    )
    protected: bool = Field(
        False, description="Whether `destroy` of its datasets is only shown, and held. No pool is ever destroyed."
    )
    properties: PoolProperties = Field(
        default_factory=lambda: PoolProperties.model_validate({}), description="Properties by their names in ZFS."
    )

    def top_level(self) -> Iterator[tuple[Path, str, PoolVdev]]:
        """Every vdev that is written, with its path inside the spec and its word in names."""
        for key, word in (("vdevs", ""), ("special", "special"), ("log", "log")):
            for index, vdev in enumerate(getattr(self, key)):
                yield (key, index), word or str(vdev.type), vdev

    def disks(self) -> Iterator[tuple[Path, str]]:
        """Every disk with its path inside the spec, in a fixed order."""
        for path, _, vdev in self.top_level():
            yield from (((*path, "disks", at), disk) for at, disk in enumerate(vdev.disks))
        for key in ("cache", "spares"):
            yield from (((key, at), disk) for at, disk in enumerate(getattr(self, key)))


class PoolDocument(Document):
    """A pool of disks that both controllers reach. Its datasets are described by kind Dataset."""

    model_config = example(
        "Pool",
        "tank",
        vdevs=[
            {"type": "mirror", "disks": ["wwn-0x5000c500a1b2c301", "wwn-0x5000c500a1b2c302"]},
            {"type": "mirror", "disks": ["wwn-0x5000c500a1b2c303", "wwn-0x5000c500a1b2c304"]},
        ],
        spares=["wwn-0x5000c500a1b2c305"],
        properties={"autotrim": "on"},
    )

    kind: Literal["Pool"] = Field(description="Always `Pool`.")
    spec: PoolSpec = Field(description="Which disks make the pool, and its properties.")


def pool_facts(configuration: Configuration, here: ControllerTopology) -> Iterator[Asked]:
    """Each pool of which more than the disks is written, or that a dataset belongs to, and its properties."""
    known = described(configuration)
    roots = {
        resource.spec.dataset: resource for resource in configuration.datasets.values() if not resource.spec.destroy
    }
    used = {resource.spec.pool for resource in configuration.datasets.values()}
    if (state := state_pool(configuration)) is not None:
        used.add(state[0])
    for pool in configuration.pools.values():
        properties = tuple(pool.spec.properties.written())
        if not properties and not pool.spec.create and pool.name not in used:
            continue
        root = roots.get(pool.name)
        settings = options_at_birth(root, known) if root is not None else SAFE
        yield Pool(pool.name, pool.spec.create, _layout(pool.spec), properties, settings), pool, ()
        for name, value in properties:
            yield PoolProperty(pool.name, name, value), pool, ("properties", name)


def _layout(spec: PoolSpec) -> tuple[tuple[str, ...], ...]:
    """Each vdev: what it is for, its kind, its disks. Of kind disk, each disk is one by itself."""
    vdevs: list[tuple[str, ...]] = []
    for path, _, vdev in spec.top_level():
        role = "" if path[0] == "vdevs" else str(path[0])
        parts = [[disk] for disk in vdev.disks] if vdev.type is VdevType.DISK else [vdev.disks]
        vdevs += [(role, str(vdev.type), *disks) for disks in parts]
    vdevs += [("cache", "disk", disk) for disk in spec.cache]
    vdevs += [("spare", "disk", disk) for disk in spec.spares]
    return tuple(vdevs)


POOL = ResourceKind(
    "Pool",
    PoolDocument,
    PoolSpec,
    Scope.STORAGE,
    facts=pool_facts,
    # Without protection a `destroy` that was only shown takes effect.
    field_scopes={"protected": Scope.DESTROY},
    unwritten={"protected": False},
)
