"""What if: an operator's question put to the simulated pair, and the answer as a timeline.

The pair boots and settles; then the events of the question happen. All moments count from the first event. A pair
whose orders describe no disks gets an assumed shelf, and the answer says so. Does not know where orders come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.inhibitors import forbidden
from reconciler.core.failover.machine.liveness_bound import Bound, start_bound, switchover_bound, takeover_bound
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.orders.orders import Channel, ChannelKind, Orders, Vdev
from reconciler.errors import UsageError
from reconciler.simulation.timed.faults import FAULTS, FaultError
from reconciler.simulation.timed.servers import PROTOCOLS
from reconciler.simulation.timed.stories import Event, happen, serving, timeline
from reconciler.simulation.timed.world import Chance, Note, Physics, Steady, World

FORMAT: Final = "hagit.rehearsal/1"
#: The longest time that a pair may take to settle before the first event.
SETTLE_MS_MAX: Final = 300_000
#: Time between two events of one question.
APART_MS: Final = 1_000
#: The shelf of a pair that has not described its own: two mirrors and a log device, three of the disks arbitrate.
SHELF: Final = (
    ("disk0", "disk1", "disk2", "disk3", "log0"),
    (Vdev("mirror0", (0, 1), 1), Vdev("mirror1", (2, 3), 1), Vdev("log", (4,), 1)),
    (0, 2, 4),
)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The answer. Moments count from the first event. `broken` is the invariant that broke, or empty.

    `before` and `after`: which controller serves (a, b, or nobody). `waits_ms`: every noticeable wait of clients; the
    last one may still go on (`waiting`). `bound`: the longest wait that the orders allow for these events. `reasons`:
    why no controller serves.
    """

    question: str
    before: str
    after: str
    phases: tuple[str, str]
    waits_ms: tuple[int, ...]
    waiting: bool
    bound: Bound
    notes: tuple[Note, ...]
    start_ms: int
    broken: str
    assumed: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def longest_ms(self) -> int:
        """Return the longest wait of any client, in milliseconds."""
        return max(self.waits_ms, default=0)


def with_shelf(orders: Orders) -> tuple[Orders, tuple[str, ...]]:
    """Return orders that the simulation can play, and the assumptions that this needed."""
    assumed = []
    if not orders.disks:
        disks, vdevs, arbitration = SHELF
        orders = replace(orders, disks=disks, vdevs=vdevs, arbitration=arbitration)
        assumed.append("the disks: no Pool describes them; two mirrors and a log device stand in")
    if len(orders.channels) < 2:
        names = {channel.name for channel in orders.channels}
        spare = (Channel("interlink"), Channel("net0", ChannelKind.CARP))
        extra = [channel for channel in spare if channel.name not in names]
        orders = replace(orders, channels=(*orders.channels, *extra[: 2 - len(orders.channels)]))
        assumed.append(f"heartbeat channels: {', '.join(channel.name for channel in orders.channels)}")
    return orders, tuple(assumed)


def question(words: Sequence[str]) -> tuple[Event, ...]:
    """Return words as events, one after the other: each fault takes the words it needs. Raises FaultError."""
    events: list[Event] = []
    left = list(words)
    while left:
        heals = left[0] == "heal"
        if heals:
            left.pop(0)
        if heals and (not left or left[0] == "everything"):
            left[:1] = []
            events.append(Event(len(events) * APART_MS, (), True))
            continue
        fault = FAULTS.get(left[0])
        if fault is None:
            raise FaultError(f"{left[0]} is not a fault", remedy="hagit rehearse --faults lists them")
        count = 1 + len(fault.takes)
        events.append(Event(len(events) * APART_MS, tuple(left[:count]), heals))
        del left[:count]
    return tuple(events)


def rehearse(
    orders: Orders, events: Sequence[Event], *, lasts_ms: int | None = None, physics: Physics | None = None,
    chance: Chance | None = None, protocols: tuple[str, ...] = (),
) -> Rehearsal:  # fmt: skip
    """Play events on a settled pair, until `lasts_ms` after the last event or as long as the orders' bounds.

    `protocols`: those with a server of shares on both controllers. Events that name a protocol assume the usual ones.
    Raises UsageError if the pair does not settle.
    """
    orders, assumed = with_shelf(orders)
    physics = physics or Physics()
    named = (FAULTS[event.words[0]] for event in events if event.words and event.words[0] in FAULTS)
    if not protocols and any("protocol" in fault.takes for fault in named):
        protocols = PROTOCOLS
        assumed = (*assumed, f"servers of shares: {', '.join(protocols)}")
    world = World(orders, chance or Steady(), physics, notes=True, protocols=protocols)
    _settle(world)
    before, start_ms = serving(world), world.now_ms
    world.client.waits_ms.clear()
    if world.notes is not None:
        world.notes.clear()
    for event in events:
        world.later(event.at_ms, lambda one: happen(world, one), event)
    bound = _bound(orders, events, shares=bool(protocols))
    last_ms = max((event.at_ms for event in events), default=0)
    span_ms = bound.total_ms + physics.boot_ms[1] + 5_000 if lasts_ms is None else lasts_ms
    world.run(start_ms + last_ms + span_ms)
    return _told(world, events, before or "nobody", bound, start_ms, assumed)


def _settle(world: World) -> None:
    """Run until one controller serves and the other could take over. Raises UsageError if they do not settle."""
    while world.now_ms < SETTLE_MS_MAX:
        world.run(world.now_ms + 1_000)
        ready = any(one.core is not None and one.core.phase is Phase.STANDBY and one.outs is not None
                    and one.outs.beat.able for one in world.controllers)  # fmt: skip
        if serving(world) is not None and ready and world.client.streak >= 20:
            return
    raise UsageError("the pair does not settle with these orders", remedy="hagit validate says what is unsafe")


def _bound(orders: Orders, events: Sequence[Event], *, shares: bool) -> Bound:
    names = {event.words[0] for event in events if event.words}
    if names and names <= {"switchover"}:
        return switchover_bound(orders, shares=shares)
    if names & {"power-loss-both", "switch-reboot"}:
        return start_bound(orders, shares=shares)
    return takeover_bound(orders, shares=shares)


def _told(world: World, events: Sequence[Event], before: str, bound: Bound, start_ms: int,
          assumed: tuple[str, ...]) -> Rehearsal:  # fmt: skip
    client = world.client
    open_ms = world.now_ms - client.last_ms
    waiting = open_ms > 3 * world.physics.write_ms
    phases = tuple("off" if one.core is None else one.core.phase.value for one in world.controllers)
    words = [" ".join(("heal", *event.words) if event.heals else event.words) for event in events]
    return Rehearsal(
        question=", then ".join(words),
        before=str(before),
        after=str(serving(world) or "nobody"),
        phases=(phases[0], phases[1]),
        waits_ms=(*client.waits_ms, open_ms) if waiting else tuple(client.waits_ms),
        waiting=waiting,
        bound=bound,
        notes=tuple(world.notes or ()),
        start_ms=start_ms,
        broken=world.broken,
        assumed=assumed,
        reasons=() if serving(world) else _reasons(world),
    )


def _reasons(world: World) -> tuple[str, ...]:
    """Return why each controller does not serve: all reasons that hold."""
    found = []
    for one in world.controllers:
        if one.core is None:
            found.append(f"{one.side} is {'starting' if one.on else 'off'}")
            continue
        found += [f"{one.side}: {reason}" for reason in forbidden(one.core, one.clock())]
        if not one.core.looks.sees:
            found.append(f"{one.side}: {Code.NO_DISKS.value}")
        if not world.wires.clients_reach(one.side):
            found.append(f"{one.side}: clients do not reach it")
        found.append(f"{one.side} is {one.core.phase}: {one.core.why}")
    return tuple(found)


def render(answer: Rehearsal) -> str:
    """Return the answer as text for a person."""
    lines = [f"What if: {answer.question}", f"Before: {answer.before} serves.", ""]
    lines += timeline(answer.notes, answer.start_ms)
    if answer.after == answer.before:
        after = f"{answer.after} still serves." if not answer.waits_ms else f"{answer.after} serves again."
    else:
        after = f"{answer.after} serves."
    lines += ["", f"After: {after}  (a {answer.phases[0]}, b {answer.phases[1]})"]
    if answer.waiting:
        lines.append(f"Clients have been waiting for {answer.waits_ms[-1] / 1000:.1f} s and still do:")
        lines += [f"  {reason}" for reason in answer.reasons]
    elif answer.waits_ms:
        lines.append(f"Clients wait {answer.longest_ms / 1000:.1f} s at the longest.")
    else:
        lines.append("Clients notice nothing.")
    lines.append(f"The orders allow: {answer.bound}.")
    lines += [f"Assumed: {words}." for words in answer.assumed]
    lines.append(f"BROKEN: {answer.broken}" if answer.broken else "Every invariant held.")
    return "\n".join(lines)


def document(answer: Rehearsal) -> dict[str, Any]:
    """Return the answer as a JSON document for a program."""
    return {
        "format": FORMAT,
        "question": answer.question,
        "before": answer.before,
        "after": answer.after,
        "phases": {"a": answer.phases[0], "b": answer.phases[1]},
        "waits_ms": list(answer.waits_ms),
        "waiting": answer.waiting,
        "bound_ms": answer.bound.total_ms,
        "bound": [{"what": what, "ms": ms} for what, ms in answer.bound.parts],
        "assumed": list(answer.assumed),
        "reasons": list(answer.reasons),
        "timeline": [
            {"at_ms": note.at_ms - answer.start_ms, "who": str(note.who), "text": note.text} for note in answer.notes
        ],
        "broken": answer.broken or None,
    }
