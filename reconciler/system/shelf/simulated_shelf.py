"""The adapters for a shelf that another process simulates: disks and pools by the model, over a unix socket.

Decides when silence has lasted long enough. Does not know how a disk answers; the process at the other end does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from reconciler.core.failover.heartbeats.disk_record import RECORD_BYTES
from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.ports import PoolsView, Watched, Written
from reconciler.core.failover.reservations.claim import Answer, Command, Reply
from reconciler.core.failover.reservations.key import Side
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView
from reconciler.system.message_stream import Message
from reconciler.system.shelf.codec import plain_command, read_pools, read_reply, read_view
from reconciler.system.shelf.connection import Connection, Silence

SILENT = Reply(Answer.SILENT)


class SimulatedShelf:
    """The disks of the orders, by their names."""

    def __init__(self, path: str, side: Side, orders: Orders) -> None:
        self._orders = orders
        self._side = side
        self._connection = Connection(path, side, "shelf")
        #: The unanswered command of each disk: its number.
        self._late: dict[str, int] = {}

    def obey(self, orders: Orders) -> None:
        """See `Shelf.obey`."""
        self._orders = orders

    def look(self, deadline_s: float) -> tuple[DiskView, ...]:
        """See `Shelf.look`."""
        views = [UNANSWERED] * len(self._orders.disks)
        wanted = set(range(len(views)))
        question: Message = {"do": "look", "disks": list(self._orders.disks)}
        for at, value in self._each(question, wanted, deadline_s):
            views[at] = read_view(value)
        return tuple(views)

    def watch(self, deadline_s: float) -> Watched:
        """See `Shelf.watch`. Nothing that is late is waited for: a simulated disk keeps its answers."""
        return Watched(self.look(deadline_s))

    def perform(self, commands: tuple[Command, ...], deadline_s: float) -> tuple[Reply, ...]:
        """See `Shelf.perform`."""
        end_s = time.monotonic() + deadline_s
        replies: dict[int, Reply] = {}
        asked: dict[int, int] = {}
        try:
            self._settle(time.monotonic())
            for command in commands:
                name = self._orders.disks[command.disk]
                if name in self._late:
                    continue
                number = self._connection.ask({"do": "perform", "name": name, **plain_command(command)}, end_s)
                self._late[name] = number
                asked[number] = command.disk
            while len(replies) < len(asked) and (messages := self._connection.receive(end_s)):
                self._forget(messages)
                replies |= {asked[one["id"]]: read_reply(one) for one in messages if one.get("id") in asked}
        except Silence:
            self._late.clear()
        return tuple(replies.get(command.disk, SILENT) for command in commands)

    def read_records(self, deadline_s: float) -> tuple[bytes | None, ...]:
        """See `Shelf.read_records`."""
        arbitration = self._orders.arbitration
        found: dict[int, bytes] = {}
        question: Message = {"do": "read", "of": self._side.other.value, "disks": self._names()}
        for at, value in self._each(question, set(range(len(arbitration))), deadline_s):
            if value is not None:
                found[at] = bytes.fromhex(value)
        return tuple(found.get(at) for at in range(len(arbitration)))

    def write_record(self, data: tuple[bytes, ...], deadline_s: float) -> Written:
        """See `Shelf.write_record`."""
        assert len(data) == len(self._orders.arbitration) and all(len(sector) == RECORD_BYTES for sector in data)
        majority, good, refused = self._orders.majority, 0, 0
        question: Message = {"do": "write", "disks": self._names(), "sectors": [sector.hex() for sector in data]}
        for _, value in self._each(question, set(range(len(data))), deadline_s):
            good += value == Answer.GOOD.value
            refused += value == Answer.CONFLICT.value
            if good >= majority:
                return Written.GOOD
            if len(data) - refused < majority:
                return Written.CONFLICT
        return Written.SILENT

    def close(self) -> None:
        """See `Shelf.close`."""
        self._connection.close()

    def _names(self) -> list[str]:
        return [self._orders.disks[at] for at in self._orders.arbitration]

    def _each(self, question: Message, wanted: set[int], deadline_s: float) -> Iterator[tuple[int, Any]]:
        """What each disk of a question answers, as it comes; nothing more after the deadline."""
        end_s = time.monotonic() + deadline_s
        try:
            number = self._connection.ask(question, end_s)
            while wanted and (messages := self._connection.receive(end_s)):
                self._forget(messages)
                for message in messages:
                    if message.get("id") != number:
                        continue
                    for at, value in message["each"]:
                        wanted.discard(at)
                        yield at, value
        except Silence:
            self._late.clear()

    def _settle(self, end_s: float) -> None:
        while self._late and (messages := self._connection.receive(end_s)):
            self._forget(messages)

    def _forget(self, messages: list[Message]) -> None:
        """Answers that came too late for their question: their disks may be asked again."""
        numbers = {message.get("id") for message in messages}
        self._late = {disk: number for disk, number in self._late.items() if number not in numbers}


class SimulatedPools:
    """The pools that the simulated kernel of one controller has imported."""

    def __init__(self, path: str, side: Side, say: Callable[[str], None]) -> None:
        self._connection = Connection(path, side, "house")
        self._say = say

    def look(self, deadline_s: float) -> PoolsView:
        """See `SharedPools.look`."""
        answer = self._one({"do": "pools"}, deadline_s)
        return PoolsView(Presence.UNKNOWN) if answer is None else read_pools(answer)

    def import_(self, deadline_s: float, excused: frozenset[int] = frozenset(), txgs: tuple[int, ...] = ()) -> bool:
        """See `SharedPools.import_`. The simulated pools know by themselves what is newest."""
        answer = self._one({"do": "import"}, deadline_s)
        good = answer is not None and answer["ok"] is True
        if not good:
            self._say(
                "the simulated pools refuse" if answer is not None else "the simulated pools did not come in time"
            )
        return good

    def export(self, deadline_s: float) -> bool:
        """See `SharedPools.export`."""
        answer = self._one({"do": "export"}, deadline_s)
        return answer is not None and answer["ok"] is True

    def close(self) -> None:
        """See `SharedPools.close`."""
        self._connection.close()

    def _one(self, question: Message, deadline_s: float) -> Message | None:
        end_s = time.monotonic() + deadline_s
        try:
            number = self._connection.ask(question, end_s)
            while messages := self._connection.receive(end_s):
                for message in messages:
                    if message.get("id") == number:
                        return message
        except Silence:
            pass
        return None
