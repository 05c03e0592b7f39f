"""Run in a guest: the pools of some orders through the real adapter, on request over two named pipes.

    python -m tests.lab.pair.zfs_servant PLACE DIRECTORY ORDERS

PLACE.in takes a line of JSON, `{"do": "look" | "import" | "export" | "labels" | "reached" | "end", "deadline_s":
seconds}`; an import also takes `out`, the disks that the last owner had dropped, and `txgs`, the transaction groups
that it reported. PLACE.out returns one line: the result, `seconds` it took, and `said`, the adapter's messages
meanwhile. `reached` looks at the pools first and at the uberblocks on the disks afterwards. It runs as a separate
process, like a worker of the watchdog: two of them look and move at the same time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.current_copies import pools_of
from reconciler.core.failover.reservations.transaction_groups import txg_of
from reconciler.core.failover.strict_json import build
from reconciler.system.zfs import arguments
from reconciler.system.zfs.devices import data_path
from reconciler.system.zfs.kstat import KSTAT
from reconciler.system.zfs.label_reader import read_labels
from reconciler.system.zfs.pool_adapter import ZfsPools
from reconciler.system.zfs.tables import rows


def answer(adapter: ZfsPools, directory: Path, orders: Orders, request: dict[str, Any]) -> dict[str, Any]:
    """Execute one request."""
    deadline_s = float(request.get("deadline_s", 60))
    match request["do"]:
        case "look":
            view = adapter.look(deadline_s)
            return {"pools": view.pools.value, "out": sorted(view.out), "txgs": view.txgs}
        case "import":
            out, txgs = frozenset(request.get("out", ())), tuple(request.get("txgs", ()))
            return {"good": adapter.import_(deadline_s, out, txgs)}
        case "export":
            return {"good": adapter.export(deadline_s)}
        case "labels":
            paths = {at: data_path(directory, name) for at, name in enumerate(orders.disks)}
            return {"labels": {at: str(label) for at, label in read_labels(paths, deadline_s).items()}}
        case "reached":
            return reached(adapter, directory, orders, deadline_s)
        case other:
            raise ValueError(other)


def reached(adapter: ZfsPools, directory: Path, orders: Orders, deadline_s: float) -> dict[str, Any]:
    """Return the groups that pools reached: by the adapter, then by the disks, and by the kernel's count."""
    txgs = adapter.look(deadline_s).txgs
    pools = pools_of(orders)
    counted = {pool: _newest(pool) for pool in pools}
    paths = {at: data_path(directory, name) for at, name in enumerate(orders.disks)}
    labels = read_labels(paths, deadline_s)
    written = {at: label.written for at, label in labels.items() if label is not None and label.in_pool}
    told = subprocess.run(arguments.pool_guids(*pools), capture_output=True, text=True, check=False).stdout
    guids = {pool: int(guid) for pool, guid in rows(told, 2)}
    words = {pool: txg_of(word, guids.get(pool, 0)) for pool, word in zip(pools, txgs, strict=False)}
    return {"txgs": txgs, "words": words, "written": written, "counted": counted}


def _newest(pool: str) -> int:
    try:
        return int((KSTAT / pool / "txgs").read_text().split("\n")[-2].split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def main() -> None:
    """Serve until a request ends the process."""
    place, directory, text = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    orders = build(Orders, json.loads(text), "orders")
    said: list[str] = []
    adapter = ZfsPools(directory, orders.side, orders, say=said.append)
    while True:
        request = json.loads(place.with_suffix(".in").read_text())
        if request["do"] == "end":
            adapter.close()
            return
        begun_s = time.monotonic()
        found = answer(adapter, directory, orders, request)
        found |= {"seconds": time.monotonic() - begun_s, "said": said.copy()}
        said.clear()
        place.with_suffix(".out").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
