"""Tells the story of the conformance suite to `zpool` and `zfs` as they are found; prints what does not go as told.

python -m tests.system.pools.zfs_answers POOL
"""

import sys

from reconciler.system.zfs.live_pools import LivePools
from tests.system.pools.conformance import unknown_pool, unmet

if __name__ == "__main__":
    print("\n".join([*unmet(LivePools(), sys.argv[1]), *unknown_pool(LivePools())]) or "as told")
