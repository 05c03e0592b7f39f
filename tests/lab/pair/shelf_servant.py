"""Run in a guest: shelves of real disks through the real adapter, on request over two named pipes.

    python -m tests.lab.pair.shelf_servant PLACE DIRECTORY

PLACE.in takes a line of JSON, PLACE.out returns one, with `seconds` it took. `open` makes a shelf for some orders and
returns its number; every other request names a shelf. `claim` runs a whole claim here, as the watchdog's worker does;
`bare` returns how long the disks take for `count` commands each, when nothing else runs.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.claim import Answer, advance, begin, commands
from reconciler.core.failover.reservations.key import decode_key
from reconciler.core.failover.strict_json import build
from reconciler.system.reservation.block_device import Finder
from reconciler.system.reservation.scsi import In, reserve_in
from reconciler.system.reservation.scsi_port import COMMAND_S, KEYS_BYTES
from reconciler.system.reservation.sg_io import SgTransport
from reconciler.system.shelf.claim_completion import complete_each
from reconciler.system.shelf.codec import plain_reply, plain_view, read_command
from reconciler.system.shelf.disks import DiskShelf
from reconciler.system.shelf.shared_disk import DiskDirectory


class Servant:
    """Every open shelf, with its orders."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._shelves: list[tuple[DiskShelf, Orders]] = []
        self.said: list[str] = []

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Execute one request."""
        if request["do"] == "open":
            orders = build(Orders, request["orders"], "orders")
            cabinet = DiskDirectory(self._directory)
            shelf = DiskShelf(
                orders, orders.side, cabinet, notify=lambda name, what: self.said.append(f"{name}: {what}")
            )
            self._shelves.append((shelf, orders))
            return {"number": len(self._shelves) - 1}
        shelf, orders = self._shelves[request["number"]]
        deadline_s = float(request.get("deadline_s", 30))
        match request["do"]:
            case "look":
                return {"views": [plain_view(view) for view in shelf.look(deadline_s)]}
            case "watch":
                watched = shelf.watch(deadline_s)
                return {"views": [plain_view(view) for view in watched.views], "age_s": watched.age_s}
            case "perform":
                asked = tuple(read_command(command) for command in request["commands"])
                return {"replies": [plain_reply(reply) for reply in shelf.perform(asked, deadline_s)]}
            case "read":
                return {"records": [data and data.hex() for data in shelf.read_records(deadline_s)]}
            case "write":
                data = tuple(bytes.fromhex(text) for text in request["records"])
                return {"written": shelf.write_record(data, deadline_s).value}
            case "claim":
                return self.claim(shelf, orders, request["key"], deadline_s)
            case "complete":
                key, disks = decode_key(request["key"]), request["disks"]
                return {"done": list(complete_each(shelf, disks, key, 2.0, 10.0, deadline_s))}
            case "bare":
                return {"bare_s": bare(self._directory, orders.disks, request["count"])}
            case "obey":
                orders = build(Orders, request["orders"], "orders")
                shelf.obey(orders)
                self._shelves[request["number"]] = shelf, orders
                return {}
            case "survey":
                return {"survey": [repr(one) for one in shelf.survey(deadline_s)]}
            case "close":
                shelf.close()
                return {}
            case other:
                raise ValueError(other)

    def claim(self, shelf: DiskShelf, orders: Orders, key: int, deadline_s: float) -> dict[str, Any]:
        """Run a whole claim."""
        running = begin(orders, decode_key(key))
        asked = silent = 0
        while wanted := commands(running):
            replies = shelf.perform(wanted, deadline_s)
            for order, reply in zip(wanted, replies, strict=True):
                asked += 1
                silent += reply.answer is Answer.SILENT
                running = advance(running, order.disk, reply)
        return {"views": [plain_view(view) for view in running.result], "commands": asked, "silent": silent}


def bare(directory: Path, names: tuple[str, ...], count: int) -> float:
    """Return the seconds for `count` READ KEYS to each disk, with one thread for each disk."""
    finder, ready = Finder(directory), threading.Barrier(len(names) + 1)
    cdb = reserve_in(In.READ_KEYS, KEYS_BYTES)

    def ask(transport: SgTransport) -> None:
        ready.wait()
        for _ in range(count):
            transport.execute(cdb, receive=KEYS_BYTES, timeout_s=COMMAND_S)

    transports = [SgTransport(finder.find(name).paths[0]) for name in names]
    threads = [threading.Thread(target=ask, args=(transport,)) for transport in transports]
    for transport, thread in zip(transports, threads, strict=True):
        transport.execute(cdb, receive=KEYS_BYTES, timeout_s=COMMAND_S)
        thread.start()
    ready.wait()
    begun_s = time.monotonic()
    for thread in threads:
        thread.join()
    taken_s = time.monotonic() - begun_s
    for transport in transports:
        transport.close()
    return taken_s


def main() -> None:
    """Serve as long as the machine runs."""
    place, servant = Path(sys.argv[1]), Servant(Path(sys.argv[2]))
    while True:
        for line in place.with_suffix(".in").read_text().splitlines():
            begun_s = time.monotonic()
            found = servant.answer(json.loads(line))
            found |= {"seconds": time.monotonic() - begun_s, "said": servant.said.copy()}
            servant.said.clear()
            place.with_suffix(".out").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
