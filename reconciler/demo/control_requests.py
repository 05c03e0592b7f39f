"""Requests to the simulated shelf: cause or end a fault, write through a controller, report state and history.

The names of faults are those of `hagit rehearse`, as far as they concern disks, pools and power. `demo/shelf_server`
owns the connections.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from reconciler.core.failover.reservations.key import Side
from reconciler.demo.shelf_model import ShelfModel
from reconciler.errors import UsageError
from reconciler.simulation.timed.faults import heal, inject
from reconciler.system.message_stream import Message
from reconciler.system.shelf.codec import plain_view

FAULTS: Final = (
    "disk-gone", "path-lost", "disks-lost", "shelf-power-cycle", "shelf-forgets", "disk-hangs", "disk-slow",
    "disk-refuses", "attention", "foreign-keys", "import-hangs", "import-refused", "export-hangs", "pools-hang",
    "pools-unknown", "export-by-hand", "import-by-hand", "power-loss", "power-loss-both",
)  # fmt: skip
#: Lines of history in one answer.
LINES_MAX: Final = 2_000


def answer_request(model: ShelfModel, message: Message) -> Message:
    """Answer one request. Raises UsageError for an unknown request.

    `do`: inject or heal (`name`, `words`), write (`side`), state, history (`after`: how many lines are known).
    """
    match message.get("do"):
        case "inject" | "heal" as action:
            name, words = str(message["name"]), tuple(str(word) for word in message.get("words", ()))
            if name not in FAULTS:
                raise UsageError(f"{name} is no fault of a shelf; these are: {', '.join(FAULTS)}")
            (inject if action == "inject" else heal)(model, name, words)
            return {"ok": True}
        case "write":
            return {"ok": model.writer.through(model.attached(Side(message["side"])))}
        case "state":
            return _state(model)
        case "history":
            lines = islice(model.history, int(message.get("after", 0)), None)
            return {"lines": [[note.at_ms, str(note.who), note.text] for note in islice(lines, LINES_MAX)]}
        case other:
            raise UsageError(f"{other!r} is no request; these are: inject, heal, write, state, history")


def _state(model: ShelfModel) -> Message:
    return {
        "broken": model.broken,
        "invariant": model.checkers.name,
        "acknowledged": max(model.writer.acknowledged),
        "writes_checked": model.checkers.writes_checked,
        "now_ms": model.now_ms,
        "on": [one.on for one in model.attached_controllers],
        "pools": [one.kernel.look().value for one in model.attached_controllers],
        "busy": [one.kernel.busy for one in model.attached_controllers],
        "stale": [bool(one.kernel.stale) for one in model.attached_controllers],
        "claims": [[claim.at_ms, claim.side.value, claim.epoch, claim.age_ms, claim.kept_ms] for claim in model.claims],
        "disks": {
            name: plain_view(disk.view()) for name, disk in zip(model.orders.disks, model.shelf.disks, strict=True)
        },
    }
