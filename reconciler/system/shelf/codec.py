"""Commands, replies and views as plain JSON values, for sockets between processes of one machine.

While a package is being upgraded, two releases may stand at the ends of such a socket: what came after the first
release is left out while it says nothing, and has its default where it is left out. Decides nothing; raises ValueError,
KeyError or TypeError for values that no release wrote.
"""

from __future__ import annotations

from typing import Any

from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.ports import PoolsView
from reconciler.core.failover.reservations.claim import Answer, Command, Reply, Verb
from reconciler.core.failover.reservations.key import Key, decode_key, encode_key
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView


def plain_key(key: Key | None) -> int | None:
    """A key as the number that a disk holds."""
    return None if key is None else encode_key(key)


def read_key(number: int | None) -> Key | None:
    """The reverse."""
    return None if number is None else decode_key(number)


def plain_view(view: DiskView) -> list[Any] | None:
    """None: unanswered; else the holder, the registered keys, the reservation's type, and the counts of paths."""
    if not view.answered:
        return None
    registered = sorted(encode_key(key) for key in view.registered)
    counts = [view.surplus, view.unregistered]
    return [plain_key(view.holder), registered, view.kind, *(counts if any(counts) else ())]


def read_view(value: list[Any] | None) -> DiskView:
    """The reverse."""
    if value is None:
        return UNANSWERED
    holder, registered, kind, *counts = value
    surplus, unregistered = (*counts, 0, 0)[:2]
    keys = frozenset(decode_key(number) for number in registered)
    return DiskView(True, read_key(holder), keys, int(kind), int(surplus), int(unregistered))


def plain_command(command: Command) -> dict[str, Any]:
    """One command."""
    return {
        "verb": command.verb.value,
        "disk": command.disk,
        "key": plain_key(command.key),
        "victim": plain_key(command.victim),
    }


def read_command(value: dict[str, Any]) -> Command:
    """The reverse."""
    key = read_key(value["key"])
    if key is None:
        raise ValueError("a command without a key")
    return Command(Verb(value["verb"]), int(value["disk"]), key, read_key(value["victim"]))


def plain_reply(reply: Reply) -> dict[str, Any]:
    """One reply."""
    return {"answer": reply.answer.value, "view": plain_view(reply.view)}


def read_reply(value: dict[str, Any]) -> Reply:
    """The reverse."""
    return Reply(Answer(value["answer"]), read_view(value["view"]))


def plain_pools(view: PoolsView) -> dict[str, Any]:
    """A look at the pools."""
    return {
        "pools": view.pools.value,
        "out": sorted(view.out),
        "progress": view.progress,
        "used": view.used,
        "doing": view.doing,
        "txgs": view.txgs,
        # A daemon of the first release reads this from a simulated shelf.
        "conflict": False,
    }


def read_pools(value: dict[str, Any]) -> PoolsView:
    """The reverse."""
    return PoolsView(
        Presence(value["pools"]),
        frozenset(int(at) for at in value["out"]),
        int(value["progress"]),
        bool(value["used"]),
        str(value["doing"]),
        tuple(int(txg) for txg in value["txgs"]),
    )
