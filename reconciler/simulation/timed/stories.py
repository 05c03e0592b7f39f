"""Stories: readable transcripts. A person writes events and expectations; the timeline shows what followed.

A story is lines of text. `# …` is its title. `orders NAME VALUE` and `machine NAME MS` change the pair that plays it;
`servers nfs iscsi` gives it servers of shares; `boot a 5s` or `boot a never` says when a controller has power. `at 20s
FAULT WORDS` injects a fault of the table, `at 30s heal FAULT WORDS` or `at 30s heal everything` ends it; `at 20s orders
b NAME VALUE, NAME VALUE` brings orders to one controller. `until 60s` ends the story. `expect …` must be true then.
After a line `---` comes the timeline, which a test compares word for word. Nothing is random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from reconciler.core.failover.orders.orders import Channel, ChannelKind, Group, Limits, Orders, Timers, Vdev
from reconciler.core.failover.reservations.key import Side
from reconciler.errors import UsageError
from reconciler.simulation.timed.fault_effects import bring
from reconciler.simulation.timed.faults import heal, heal_everything, inject
from reconciler.simulation.timed.invariants import INVARIANTS
from reconciler.simulation.timed.world import Note, Physics, Steady, World

LINES_MAX: Final = 500
UNTIL_MS_MAX: Final = 24 * 3_600_000
CUT: Final = "---"

#: The pair that plays a story unless the story changes it: two mirrors and a log device, two channels.
PAIR: Final = Orders(
    pair="story",
    side=Side.A,
    generation=1,
    controllers=("a", "b"),
    disks=("disk0", "disk1", "disk2", "disk3", "log0"),
    vdevs=(Vdev("tank/mirror0", (0, 1), 1), Vdev("tank/mirror1", (2, 3), 1), Vdev("tank/log", (4,), 1)),
    arbitration=(0, 2, 4),
    channels=(Channel("interlink"), Channel("net0", ChannelKind.CARP)),
    groups=(Group(1, ("net0",)),),
)


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `heals`: the fault ends instead of beginning; an empty name then means all faults."""

    at_ms: int
    words: tuple[str, ...]
    heals: bool = False


@dataclass(frozen=True, slots=True)
class Story:
    """A story as a person wrote it, `head`, and its parsed parts. `timeline` is the expected timeline."""

    head: tuple[str, ...]
    orders: Orders
    physics: Physics
    boots: tuple[tuple[Side, int | None], ...]
    events: tuple[Event, ...]
    until_ms: int
    expects: tuple[tuple[str, ...], ...]
    machines: bool = False
    protocols: tuple[str, ...] = ()
    timeline: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Telling:
    """Result of playing a story. `failures` are expectations that did not hold."""

    world: World = field(repr=False)
    lines: tuple[str, ...]
    failures: tuple[str, ...]


def read(text: str) -> Story:
    """Parse a story. Raises UsageError with the number of the line that makes no sense."""
    lines = text.splitlines()
    if len(lines) > 100 * LINES_MAX:
        raise UsageError(f"a script has at most {100 * LINES_MAX} lines, this one {len(lines)}")
    cut = lines.index(CUT) if CUT in lines else len(lines)
    head = tuple(lines[:cut])
    story = Story(head, PAIR, Physics(), ((Side.A, 0), (Side.B, 0)), (), 60_000, ())
    for number, line in enumerate(head, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if number > LINES_MAX:
            raise UsageError(f"more than {LINES_MAX} lines", where=str(number))
        try:
            story = _sentence(story, words)
        except (KeyError, ValueError, IndexError) as error:
            known = "at, boot, expect, machine, machines, orders, servers, until"
            raise UsageError(f"`{line.strip()}` makes no sense ({error})", where=str(number),
                             remedy=f"lines begin with {known}") from error  # fmt: skip
    return replace(story, timeline=tuple(line for line in lines[cut + 1 :] if line.strip()))


def _sentence(story: Story, words: list[str]) -> Story:
    match words:
        case ["at", moment, "heal", "everything"]:
            return replace(story, events=(*story.events, Event(milliseconds(moment), (), True)))
        case ["at", moment, "heal", *rest] if rest:
            return replace(story, events=(*story.events, Event(milliseconds(moment), tuple(rest), True)))
        case ["at", moment, "orders", side, *rest] if rest:
            _brought(replace(story.orders, side=Side(side)), rest)
            return replace(story, events=(*story.events, Event(milliseconds(moment), ("orders", side, *rest))))
        case ["at", moment, *rest] if rest:
            return replace(story, events=(*story.events, Event(milliseconds(moment), tuple(rest))))
        case ["boot", side, moment]:
            when = None if moment == "never" else milliseconds(moment)
            kept = tuple(one for one in story.boots if one[0] != Side(side))
            return replace(story, boots=tuple(sorted((*kept, (Side(side), when)))))
        case ["until", moment]:
            return replace(story, until_ms=milliseconds(moment))
        case ["orders", name, *values] if values:
            return replace(story, orders=_ordered(story.orders, name, values))
        case ["machine", name, value]:
            return replace(story, physics=_physics(story.physics, name, milliseconds(value)))
        case ["machines", "numbered"]:
            return replace(story, machines=True)
        case ["servers", *protocols] if protocols:
            return replace(story, protocols=tuple(protocols))
        case ["expect", *rest] if rest:
            return replace(story, expects=(*story.expects, tuple(rest)))
        case _:
            raise ValueError("no such sentence")


def milliseconds(word: str) -> int:
    """Parse `20s`, `250ms`, `2m` or a bare number of milliseconds."""
    for unit, factor in (("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("", 1)):
        if unit and not word.endswith(unit):
            continue
        value = float(word.removesuffix(unit)) * factor
        if not 0 <= value <= UNTIL_MS_MAX:
            raise ValueError(f"{word} is outside 0 to 24 h")
        return round(value)
    raise ValueError(f"{word} is no time")


def _ordered(orders: Orders, name: str, values: Sequence[str]) -> Orders:
    """Return the orders with one field changed, in the words a person would use."""
    if name.startswith(("timers.", "limits.")):
        part, _, member = name.partition(".")
        held: Timers | Limits = orders.timers if part == "timers" else orders.limits
        if member not in {one.name for one in fields(held)}:
            raise ValueError(f"there is no {name}")
        value = milliseconds(values[0]) if member.endswith("_ms") else int(values[0])
        member_changes: dict[str, Any] = {member: value}
        changes: dict[str, Any] = {part: replace(held, **member_changes)}
    elif name in ("enabled", "strict"):
        changes = {name: {"yes": True, "no": False}[values[0]]}
    elif name == "default":
        changes = {name: Side(values[0])}
    elif name == "groups":
        groups = tuple(Group(at, tuple(word.split("+"))) for at, word in enumerate(values, 1) if word != "none")
        changes = {name: groups}
    elif name == "channels":
        kinds = {True: ChannelKind.INTERLINK, False: ChannelKind.CARP}
        changes = {name: tuple(Channel(word, kinds[word == "interlink"]) for word in values)}
    elif name == "shelf":
        changes = _shelf(values)
    elif name == "arbitration":
        changes = {name: tuple(orders.disks.index(word) for word in values)}
    else:
        raise ValueError(f"there is no {name}")
    return replace(orders, **changes)


def _shelf(values: Sequence[str]) -> dict[str, Any]:
    """Parse disks and top-level vdevs as `zpool create` does: `mirror d0 d1 raidz d2 d3 d4 alone d5 spare d6`.

    `pool NAME` before a vdev begins another pool; the first is `tank`.
    The first disk of each of the first three vdevs arbitrates unless `arbitration` says otherwise.
    """
    disks: list[str] = []
    found: list[tuple[str, str, list[int]]] = []
    pool, words = "tank", iter(values)
    for word in words:
        if word == "pool":
            pool = next(words)
        elif word in ("mirror", "raidz", "alone", "spare"):
            found.append((pool, word, []))
        else:
            found[-1][2].append(len(disks))
            disks.append(word)
    vdevs = tuple(
        Vdev(f"{pool}/{kind}{at}", tuple(held), len(held) - 1 if kind == "raidz" else 1)
        for at, (pool, kind, held) in enumerate(found)
        if kind != "spare"
    )
    return {"disks": tuple(disks), "vdevs": vdevs, "arbitration": tuple(vdev.disks[0] for vdev in vdevs[:3])}


def _brought(orders: Orders, words: Sequence[str]) -> Orders:
    """Return orders with some fields changed, from words such as `generation 2, enabled no`."""
    for clause in " ".join(words).split(","):
        name, *values = clause.split()
        if name == "generation":
            orders = replace(orders, generation=int(values[0]))
        elif name == "side":
            orders = replace(orders, side=Side(values[0]))
        else:
            orders = _ordered(orders, name, values)
    return orders


def _physics(physics: Physics, name: str, value_ms: int) -> Physics:
    if name not in {one.name for one in fields(physics)}:
        raise ValueError(f"there is no {name}")
    changes: dict[str, Any] = {name: value_ms if name == "write_ms" else (value_ms, value_ms)}
    return replace(physics, **changes)


def play(story: Story) -> Telling:
    """Play a story. Raises UsageError when an event names no fault of its pair."""
    world = World(
        story.orders, Steady(), story.physics, notes=True, power=False, machines=story.machines,
        protocols=story.protocols,
    )  # fmt: skip
    for side, when_ms in story.boots:
        if when_ms is not None:
            world.later(when_ms, world.controller(side).power_on, 0)
    for event in story.events:
        world.later(event.at_ms, lambda one: happen(world, one), event)
    world.run(story.until_ms)
    failures = [wrong for words in story.expects if (wrong := _expected(world, words))]
    if world.broken and not any(words[0] == "broken" for words in story.expects):
        failures.append(f"an invariant broke: {world.broken}")
    return Telling(world, tuple(timeline(world.notes or [])), tuple(failures))


def happen(world: World, event: Event) -> None:
    """Let one event of a script happen now."""
    if not event.words:
        heal_everything(world)
    elif event.words[0] == "orders":
        world.note("event", " ".join(event.words))
        one = world.controller(Side(event.words[1]))
        bring(world, one, _brought(one.orders, event.words[2:]))
    elif event.heals:
        heal(world, event.words[0], event.words[1:])
    else:
        inject(world, event.words[0], event.words[1:])


def timeline(notes: Sequence[Note], start_ms: int = 0) -> list[str]:
    """Return notes as aligned lines: seconds, source, text."""
    return [f"{(note.at_ms - start_ms) / 1000:9.3f}  {note.who:<6}  {note.text}".rstrip() for note in notes]


def written(story: Story, telling: Telling) -> str:
    """Return the text of a story's file with the timeline that was played."""
    return "\n".join((*story.head, CUT, *telling.lines)) + "\n"


def serving(world: World) -> Side | None:
    """Return the controller that serves clients now: the one that acknowledged a write a moment ago."""
    fresh = world.client.first_ms is not None and world.now_ms - world.client.last_ms <= 3 * world.physics.write_ms
    return world.client.from_ if fresh else None


def _expected(world: World, words: tuple[str, ...]) -> str:
    """Return why an expectation does not hold, or an empty string."""
    told = " ".join(words)
    notes = world.notes or []
    match words:
        case ("nobody", "serves"):
            return "" if serving(world) is None else f"{told}: {serving(world)} does"
        case (side, "serves") if side in ("a", "b"):
            return "" if serving(world) == side else f"{told}: {serving(world) or 'nobody'} does"
        case (side, "holds", "the", "disks") if side in ("a", "b"):
            orders = world.controller(Side(side)).orders
            disks = [world.shelf.disks[at] for at in world.places(orders.voters)]
            held = sum(disk.holder == side for disk in disks)
            return "" if held >= orders.majority else f"{told}: {held} of {len(disks)} arbitration disks"
        case (side, "is", phase) if side in ("a", "b"):
            core = world.controller(Side(side)).core
            now = "off" if core is None else core.phase.value
            return "" if now == phase else f"{told}: it is {now}"
        case ("waits", "at", "most", limit):
            longest = max([*world.client.waits_ms, world.now_ms - world.client.last_ms])
            return "" if longest <= milliseconds(limit) else f"{told}: the longest wait is {longest} ms"
        case (side, "never", phase) if side in ("a", "b"):
            found = [note for note in notes if note.who == side and f"-> {phase.upper()}:" in note.text]
            return f"{told}: at {found[0].at_ms} ms it did" if found else ""
        case ("by", moment, who, "says", *rest):
            first = min(_said(notes, who, rest), default=None)
            return "" if first is not None and first <= milliseconds(moment) else f"{told}: first at {first} ms"
        case ("not", "before", moment, who, "says", *rest):
            early = [at_ms for at_ms in _said(notes, who, rest) if at_ms < milliseconds(moment)]
            return f"{told}: at {early[0]} ms" if early else ""
        case ("at", "most", number, "times", who, "says", *rest):
            count = len(_said(notes, who, rest))
            return "" if count <= int(number) else f"{told}: {count} times"
        case ("nobody", "says", *rest):
            found_ms = _said(notes, "someone", rest)
            return f"{told}: at {found_ms[0]} ms" if found_ms else ""
        case (who, "says", *rest):
            return "" if _said(notes, who, rest) else f"{told}: never"
        case ("broken", name):
            return "" if world.checkers.name == name and name in INVARIANTS else f"{told}: {world.broken or 'nothing'}"
        case _:
            return f"{told}: no such expectation"


def _said(notes: Sequence[Note], who: str, words: Sequence[str]) -> list[int]:
    """Return the moments, in milliseconds, at which `who` (or `someone`: any source) said a line with these words."""
    told = " ".join(words)
    return [note.at_ms for note in notes if who in ("someone", note.who) and told in note.text]
