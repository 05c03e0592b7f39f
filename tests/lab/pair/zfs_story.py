"""Run in a guest: pools and datasets made, changed, seen and destroyed through the real adapter; prints JSON.

    python -m tests.lab.pair.zfs_story DISK DISK DISK

Makes a pool `story` of the first two disks and adds the third. Nothing is left of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from reconciler.core.facts.storage import DatasetKind
from reconciler.system.zfs import observe, perform
from reconciler.system.zfs.values import Layout, Origin, Role, Unseen, Vdev, VdevKind

BY_ID = Path("/dev/disk/by-id")


def story(first: str, second: str, third: str) -> dict[str, Any]:
    """What each step came to, and what was seen after it."""
    mirror = Vdev(VdevKind.MIRROR, (first, second))
    steps: list[str] = []

    def done(result: perform.Result) -> None:
        steps.append(str(result))

    done(perform.create_pool("story", Layout((mirror,)), root_settings={"compression": "lz4"}, force=True))
    done(perform.create_pool("story", Layout((mirror,)), force=True))
    done(perform.add_vdev("story", Role.LOG, Vdev(VdevKind.DISK, (third,)), force=True))
    done(perform.set_pool_property("story", "comment", "two words"))
    done(perform.create_dataset("story/a", settings={"quota": "33554432", "org.example:owner": "me"}))
    done(perform.create_dataset("story/a/b"))
    done(perform.create_dataset("story/v", DatasetKind.VOLUME, size_bytes=8 << 20, sparse=True))
    done(perform.set_property("story/a", {"atime": "off", "recordsize": "65536"}))
    done(perform.set_property("story/a", {"recordsize": "3"}))
    done(perform.inherit("story/a", "recordsize"))
    done(perform.destroy_dataset("story/a"))
    pools = observe.pools((first + "-part1", second + "-part1", third + "-part1"))
    datasets = observe.datasets("story")
    assert not isinstance(pools, Unseen) and not isinstance(datasets, Unseen), (pools, datasets)
    (pool,) = (one for one in pools if one.name == "story")
    local = {
        one.name: {name: setting.value for name, setting in one.settings if setting.origin is Origin.LOCAL}
        for one in datasets
    }
    (below,) = (one for one in datasets if one.name == "story/a/b")
    inherited = below.setting("compression")
    assert inherited is not None
    done(perform.destroy_dataset("story/a/b"))
    done(perform.destroy_dataset("story/a", snapshots=True))
    done(perform.destroy_pool("story"))
    comment, failmode = pool.setting("comment"), pool.setting("failmode")
    assert comment is not None and failmode is not None
    return {
        "steps": steps,
        "layout": str(pool.layout),
        "health": pool.health.value,
        "members": [[member.disk, member.role.value, member.health.value] for member in pool.members],
        "comment": comment.value,
        "failmode": failmode.value,
        "local": local,
        "kinds": {one.name: one.kind.value for one in datasets},
        "inherited": [inherited.value, inherited.origin.value, inherited.of],
    }


if __name__ == "__main__":
    print(json.dumps(story(*sys.argv[1:4])))
