"""Run in the guest: one call of the real NFS server, and what it answers as JSON.

python -m tests.lab.guest.nfs_servant look|start|stop SHARES     SHARES: a file with shares as JSON
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

from reconciler.core.failover.strict_json import build, parse
from reconciler.core.shares.shares import Protocol, Shares
from reconciler.system.shares.nfs.share_server import NfsShareServer
from tests.system.shares.conformance import CHECKS, Rig

DEADLINE_S = 60.0


def check(shares: Shares) -> None:
    """Run every check of the port."""
    first, second = shares.exports
    gone = dataclasses.replace(second, name="gone", dataset="tank/gone", path=None)
    rig = Rig(
        Protocol.NFS,
        NfsShareServer,
        dataclasses.replace(shares, exports=(first,)),
        shares,
        dataclasses.replace(shares, exports=(first, gone, second)),
    )
    for one in CHECKS:
        one(rig)
        print(one.__name__)


def main() -> int:
    """Make the call."""
    wanted, file = sys.argv[1:]
    shares = build(Shares, parse(Path(file).read_bytes()), "shares", [])
    if wanted == "check":
        check(shares)
        return 0
    server = NfsShareServer()
    match wanted:
        case "start":
            view = server.start(shares, DEADLINE_S)
        case "stop":
            view = server.stop(DEADLINE_S)
        case _:
            view = server.look(shares, DEADLINE_S)
    print(json.dumps(dataclasses.asdict(view)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
