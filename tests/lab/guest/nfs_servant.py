"""Run in the guest: one call of the real NFS server, and what it answers as JSON.

python -m tests.lab.guest.nfs_servant look|start|stop SHARES     SHARES: a file with shares as JSON
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

from reconciler.core.failover.strict_json import build, parse
from reconciler.core.shares.shares import Shares
from reconciler.system.shares.nfs.share_server import NfsShareServer

DEADLINE_S = 60.0


def main() -> int:
    """Make the call."""
    wanted, file = sys.argv[1:]
    shares = build(Shares, parse(Path(file).read_bytes()), "shares", [])
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
