"""Run in a guest: the pools of some orders through the real adapter, asked over two pipes with names.

    python -m tests.lab.pair.zfs_servant PLACE DIRECTORY ORDERS

PLACE.in takes a line of JSON, `{"do": "look" | "import" | "export" | "labels" | "end", "deadline_s": seconds}`, with
`out` for an import: the disks that the last owner had given up, and
PLACE.out gives one back: what came of it, `seconds` it took, and `said`, what the adapter had to say meanwhile. It is a
process of its own, as an arm of the watchdog is: two of them look and move at the same time.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from reconciler.core.failover.document import build
from reconciler.core.failover.orders import Orders
from reconciler.system.zfs.devices import data_path
from reconciler.system.zfs.house import ZfsHouse
from reconciler.system.zfs.reading import read_labels


def answer(house: ZfsHouse, directory: Path, orders: Orders, request: dict[str, Any]) -> dict[str, Any]:
    """One request done."""
    deadline_s = float(request.get("deadline_s", 60))
    match request["do"]:
        case "look":
            view = house.look(deadline_s)
            return {"pools": view.pools.value, "out": sorted(view.out), "conflict": view.conflict}
        case "import":
            return {"good": house.import_(deadline_s, frozenset(request.get("out", ())))}
        case "export":
            return {"good": house.export(deadline_s)}
        case "labels":
            paths = {at: data_path(directory, name) for at, name in enumerate(orders.disks)}
            return {"labels": {at: str(label) for at, label in read_labels(paths, deadline_s).items()}}
        case other:
            raise ValueError(other)


def main() -> None:
    """Serve until told to end."""
    place, directory, text = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    orders = build(Orders, json.loads(text), "orders")
    said: list[str] = []
    house = ZfsHouse(directory, orders.side, orders, say=said.append)
    while True:
        request = json.loads(place.with_suffix(".in").read_text())
        if request["do"] == "end":
            house.close()
            return
        begun_s = time.monotonic()
        found = answer(house, directory, orders, request)
        found |= {"seconds": time.monotonic() - begun_s, "said": said.copy()}
        said.clear()
        place.with_suffix(".out").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
