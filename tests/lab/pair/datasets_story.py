"""Run in a machine with real ZFS: make a pool from a fact, then play the story that all pool adapters share.

python -m tests.lab.pair.datasets_story
"""

from pathlib import Path

from reconciler.core.facts.storage import STAMP, Pool, PoolProperty, Property
from reconciler.core.spec.pool_capture import languages_properties
from reconciler.system.zfs.live_pools import LivePools
from tests.system.pools.conformance import unknown_pool, unmet

BY_ID = Path("/dev/disk/by-id")
DISKS = ("disk0-part1", "disk1-part1")
POOL = Pool(
    "tank",
    create=True,
    layout=(("", "mirror", *DISKS),),
    options=(("ashift", "12"), ("autotrim", "off")),
    root=(("compression", "off"), ("mountpoint", "none"), (STAMP, "root")),
)


def made() -> list[str]:
    """Make the pool twice: the first time succeeds, the second one is refused."""
    pools = LivePools(BY_ID, properties=languages_properties())
    pools.perform(None, POOL)
    wanted = (
        Pool("tank"),
        PoolProperty("tank", "ashift", "12"),
        PoolProperty("tank", "failmode", "panic"),
        Property("tank", "mountpoint", "none"),
        Property("tank", STAMP, "root"),
    )
    look = pools.observe([fact.key for fact in wanted])
    found = [f"{look.facts.get(fact.key)} instead of {fact}" for fact in wanted if look.facts.get(fact.key) != fact]
    everything = pools.observe(None)
    layout = getattr(everything.facts["pool", "tank"], "layout", ())
    found += [] if len(layout) == 1 and layout[0][:2] == ("", "mirror") else [f"layout {layout}"]
    try:
        pools.perform(None, POOL)
        found.append("made twice")
    except Exception as problem:
        found += [] if "tank" in str(problem) else [str(problem)]
    return found


if __name__ == "__main__":
    print("\n".join([*made(), *unmet(LivePools(BY_ID), "tank"), *unknown_pool(LivePools(BY_ID))]) or "as told")
