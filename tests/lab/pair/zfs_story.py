"""Run in a guest: make, change, look at and destroy pools and datasets through the real adapter; print JSON.

    python -m tests.lab.pair.zfs_story DISK DISK DISK

Makes a pool `story` of the first two disks and a log of the third, and removes it at the end.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from reconciler.core.facts.storage import DatasetKind
from reconciler.system.zfs import arguments, observe, perform, tools
from reconciler.system.zfs.tables import settings_of
from reconciler.system.zfs.values import LayoutVdev, PoolLayout, PropertySource, Unseen, VdevKind

DEADLINE_S = 60.0


def story(first: str, second: str, third: str) -> dict[str, Any]:
    """Return the result of each step, and the facts seen after it."""
    layout = PoolLayout((LayoutVdev(VdevKind.MIRROR, (first, second)),), log=(LayoutVdev(VdevKind.DISK, (third,)),))
    steps: list[str] = []

    def done(result: perform.Result) -> None:
        steps.append(str(result))

    done(perform.create_pool("story", layout, root_settings={"compression": "lz4"}, force=True))
    done(perform.create_pool("story", layout, force=True))
    done(perform.set_pool_property("story", "comment", "two words"))
    done(perform.create_dataset("story/a", settings={"quota": "33554432", "org.example:owner": "me"}))
    done(perform.create_dataset("story/a/b"))
    done(perform.create_dataset("story/v", DatasetKind.VOLUME, size_bytes=8 << 20, sparse=True))
    done(perform.set_property("story/a", {"atime": "off", "recordsize": "65536"}))
    done(perform.set_property("story/a", {"recordsize": "3"}))
    done(perform.inherit("story/a", "recordsize"))
    done(perform.destroy_dataset("story/a"))
    pools = observe.pools((first + "-part1", second + "-part1", third + "-part1"))
    text = tools.run(arguments.dataset_properties("story"), deadline_s=DEADLINE_S)
    assert not isinstance(pools, Unseen) and isinstance(text, tools.Ended), (pools, text)
    datasets = settings_of(text.stdout)
    (pool,) = (one for one in pools if one.name == "story")
    local = {
        dataset: {name: setting.value for name, setting in settings.items() if setting.origin is PropertySource.LOCAL}
        for dataset, settings in datasets.items()
    }
    inherited = datasets["story/a/b"]["compression"]
    done(perform.destroy_dataset("story/a/b"))
    done(perform.destroy_dataset("story/a", snapshots=True))
    tools.run(("zpool", "destroy", "story"), deadline_s=DEADLINE_S)
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
        "kinds": {dataset: settings["type"].value for dataset, settings in datasets.items()},
        "inherited": [inherited.value, inherited.origin.value, inherited.of],
    }


if __name__ == "__main__":
    print(json.dumps(story(*sys.argv[1:4])))
