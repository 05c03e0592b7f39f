"""What every adapter for pools and datasets has to do, told as one story to real ZFS, to programs, and to the fake."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.storage import STAMP, Dataset, DatasetKind, Pool, PoolProperty, Property
from reconciler.core.facts.storage_adapter import StorageAdapter
from reconciler.errors import PerformError

MIB, GIB = 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Step:
    """One change, whether it has to be refused, and what has to be so after it."""

    before: Fact | None
    after: Fact | None
    refused: bool = False
    present: tuple[Fact, ...] = ()
    absent: tuple[Key, ...] = ()


def story(pool: str) -> tuple[Step, ...]:
    """What is done in an empty pool, from the first dataset to the last."""
    home, alice, disk = f"{pool}/home", f"{pool}/home/alice", f"{pool}/vm1"
    options = (("compression", "zstd"), ("quota", str(200 * MIB)), ("mountpoint", f"/srv/{pool}"), (STAMP, "home"))
    volume = (("volsize", str(32 * MIB)), ("volblocksize", "16384"), ("refreservation", "0"), (STAMP, "vm1"))
    return (
        Step(None, PoolProperty(pool, "comment", "shelf 1"), present=(PoolProperty(pool, "comment", "shelf 1"),)),
        Step(None, PoolProperty(pool, "autotrim", "on"), present=(PoolProperty(pool, "autotrim", "on"), Pool(pool))),
        Step(None, Dataset(alice), refused=True, absent=(Dataset(alice).key,)),
        Step(
            None,
            Dataset(home, options=options),
            present=(Dataset(home), *(Property(home, name, value) for name, value in options)),
        ),
        Step(None, Dataset(home), refused=True, present=(Dataset(home),)),
        Step(
            None,
            Dataset(alice),
            present=(
                Dataset(alice),
                Property(alice, STAMP, "", False),
                Property(alice, "compression", "zstd", False),
                Property(alice, "mountpoint", f"/srv/{pool}/alice", False),
                Property(alice, "quota", "0", False),
            ),
        ),
        Step(
            Property(home, "compression", "zstd"),
            Property(home, "compression", "lz4"),
            present=(Property(home, "compression", "lz4"), Property(alice, "compression", "lz4", False)),
        ),
        Step(
            Property(alice, "compression", "lz4", False),
            Property(alice, "compression", "lz4"),
            present=(Property(alice, "compression", "lz4"),),
        ),
        Step(
            Property(alice, "compression", "lz4"),
            Property(alice, "compression", "lz4", False),
            present=(Property(alice, "compression", "lz4", False),),
        ),
        Step(None, Property(alice, STAMP, "alice"), present=(Property(alice, STAMP, "alice"),)),
        Step(None, Property(alice, STAMP, "", False), present=(Property(alice, STAMP, "", False),)),
        Step(
            None,
            Property(home, "reservation", str(GIB)),
            refused=True,
            present=(Property(home, "reservation", "0", False),),
        ),
        Step(
            None,
            Property(home, "reservation", str(8 * MIB)),
            present=(Property(home, "reservation", str(8 * MIB)),),
        ),
        Step(None, Property(home, "quota", "0"), present=(Property(home, "quota", "0"),)),
        Step(
            None,
            Dataset(disk, DatasetKind.VOLUME, options=volume),
            present=(
                Dataset(disk, DatasetKind.VOLUME),
                Property(disk, "volsize", str(32 * MIB)),
                Property(disk, "refreservation", "0"),
                Property(disk, STAMP, "vm1"),
            ),
        ),
        Step(None, Property(disk, "volsize", str(64 * MIB)), present=(Property(disk, "volsize", str(64 * MIB)),)),
        Step(None, Property(disk, "volblocksize", "8192"), refused=True),
        Step(None, Dataset(f"{disk}/below"), refused=True),
        Step(None, Property(f"{pool}/none", "compression", "off"), refused=True),
        Step(Dataset(home), None, refused=True, present=(Dataset(home), Dataset(alice))),
        Step(Dataset(alice), None, absent=(Dataset(alice).key, Property(alice, "compression", "").key)),
        Step(Dataset(home), None, absent=(Dataset(home).key,), present=(Dataset(disk, DatasetKind.VOLUME),)),
        Step(Dataset(disk, DatasetKind.VOLUME), None, absent=(Dataset(disk).key,)),
    )


def unmet(pools: StorageAdapter, pool: str) -> list[str]:
    """Tells the story: where it does not go as it should. Every look is narrow and whole, and both have to agree."""
    found: list[str] = []
    for number, step in enumerate(story(pool), 1):
        refused = ""
        try:
            pools.perform(step.before, step.after)
        except PerformError as problem:
            refused = problem.what
        if bool(refused) != step.refused:
            found.append(f"{number}: {step.after or step.before}: {refused or 'was not refused'}")
        keys = [*(fact.key for fact in step.present), *step.absent]
        narrow = pools.observe_keys(keys)
        look = pools.observe(keys)
        found += [f"{number}: unknown: {part}" for part in look.unknown]
        for fact in step.present:
            for word, seen in (("narrow", narrow[fact.key]), ("whole", look.facts.get(fact.key))):
                if seen != fact:
                    found.append(f"{number}: {word}: {seen} instead of {fact}")
        for key in step.absent:
            if narrow[key] is not None or key in look.facts:
                found.append(f"{number}: {key} is there")
    return found


def unknown_pool(pools: StorageAdapter) -> list[str]:
    """A pool that is not there is absent, and nothing else."""
    keys = [("pool", "nowhere"), ("pool-property", "nowhere", "autotrim"), ("dataset", "nowhere", "nowhere/a")]
    look = pools.observe(keys)
    narrow = pools.observe_keys(keys)
    return [f"{key}: {look} {narrow}" for key in keys if key in look.facts or narrow[key] is not None or look.unknown]
