"""A plan for people: the verdict first, then each resource before, during and after, then what is held or left alone.

Decides the looks. The direction is always live → desired, so `+` is what will be made and `-` what will go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from reconciler.core.facts.change import ActionVerb, Impact
from reconciler.core.facts.fact import Address, Fact, Link, LinkKind, Mark, Mtu, Port, Power
from reconciler.core.facts.state import Facts, Origin
from reconciler.core.facts.storage import STORAGE_WORDS
from reconciler.core.planning.fact_words import change_value, fact_name, fact_value, fact_word
from reconciler.core.planning.plan import Action, Blame, Foreign, Gate, HeldChange, OrdersChange, Plan
from reconciler.core.planning.styled_text import Piece, Style, paint, unbroken, wrapped

IMPACT_STYLES: Final = {
    Impact.NONE: Style.FAINT,
    Impact.BLIP: Style.CHANGE,
    Impact.TRAFFIC: Style.BAD,
    Impact.DATA: Style.ALARM,
}
WORD_WIDTH: Final = 9
IMPACT_WIDTH: Final = 9
VALUE_WIDTH_MAX: Final = 40
#: Columns kept free for the reason and the place.
TAIL_WIDTH: Final = 30
MARGIN: Final = 11
#: More facts than this in one line of consequences are counted, not named.
NAMED_MAX: Final = 12


class PlanRow(NamedTuple):
    """One line of a plan: an action, or both halves of a replacement."""

    symbol: str
    style: Style
    fact: Fact
    value: str
    action: Action
    consequences: tuple[Fact, ...]


class StateSide(NamedTuple):
    """What holds before or after: all facts, and those that each link has by itself or as a master.

    Of links in `blind` the addresses could not be read.
    """

    facts: Facts
    by_link: Mapping[str, Sequence[Fact]]
    blind: frozenset[str]


def render_plan(plan: Plan, *, color: bool, width: int) -> str:
    """The plan as text, lines at most `width` columns where words allow it, without a newline at the end."""
    width = max(width, 60)
    lines: list[list[Piece]] = [_verdict(plan)]
    groups = _groups(plan)
    if groups:
        lines.append(_legend(groups))
    rows = [row for _, rows in groups for row in rows]
    room = min(max(width - MARGIN - WORD_WIDTH - IMPACT_WIDTH - TAIL_WIDTH - 2, 18), VALUE_WIDTH_MAX)
    value_width = max((len(row.value) for row in rows if len(row.value) <= room), default=room)
    sides = _side(plan.before, plan.holds), _side(plan.after, plan.holds)
    for title, members in groups:
        lines.append([])
        lines += _group_lines(plan, sides, title, members, value_width, width)
    lines += _orders_lines(plan, width)
    lines += _hold_lines(plan.holds, width)
    lines += _foreign_lines(plan.foreign, width)
    for note in plan.notes:
        lines.append([])
        lines += wrapped(note, first="Note:", indent=9, width=width, style=Style.FAINT)
    for warning in plan.warnings:
        lines.append([])
        lines += wrapped(warning, first="Warning:", indent=9, width=width, style=Style.CHANGE)
    return "\n".join(paint(line, color=color) for line in lines)


def short_revision(revision: str) -> str:
    """`main@3f2c1ab` for a revision with the full commit id."""
    branch, _, commit = revision.rpartition("@")
    return f"{branch}@{commit[:7]}" if branch else commit[:7]


def verdict(plan: Plan) -> str:
    """The plan in one sentence."""
    revision = short_revision(plan.base.revision)
    held = f"{len(plan.holds)} held" if plan.holds else ""
    if not plan.actions and plan.orders:
        tail = f"; {held}." if held else "."
        return f"Plan for controller {plan.base.controller} at {revision}: {_orders_counted(plan)}{tail}"
    if not plan.actions:
        if not held:
            return f"No changes. Live state matches {revision}."
        return f"No changes for controller {plan.base.controller} at {revision}: {held}."
    counts = {"create": 0, "change": 0, "replace": 0, "remove": 0}
    for row in _rows(plan.actions):
        counts["replace" if row.symbol == "-/+" else row.action.verb.value] += 1
    told = ", ".join(f"{count} to {verb}" for verb, count in counts.items() if count)
    tail = f"; {_orders_counted(plan)}" if plan.orders else ""
    tail += f"; {held}." if held else "."
    return (
        f"Plan for controller {plan.base.controller} at {revision}: {told}; "
        f"worst impact {plan.impact.name.lower()}{tail}"
    )


def _orders_counted(plan: Plan) -> str:
    return f"{len(plan.orders)} change{'s' if len(plan.orders) > 1 else ''} of the watchdog's orders"


def _orders_lines(plan: Plan, width: int) -> Iterator[list[Piece]]:
    if not plan.orders:
        return
    yield []
    yield [Piece("Orders for the watchdog", Style.STRONG), Piece(" (published last)", Style.FAINT)]
    column = max(len(item.what) for item in plan.orders)
    for item in plan.orders:
        symbol, style = ("~", Style.CHANGE) if item.before else ("+", Style.GOOD)
        text = f"{item.before} → {item.after or 'none'}" if item.before else item.after
        text += f"  {item.origin.file}:{item.origin.line}" if item.origin is not None else ""
        first = f"  {symbol} {item.what:<{column}}"
        yield from wrapped(text, first=first, indent=len(first) + 2, width=width, style=style)
    yield from _blame_lines(plan.orders, width)


def _verdict(plan: Plan) -> list[Piece]:
    return [Piece(verdict(plan), Style.STRONG)]


def _legend(groups: Iterable[tuple[str, list[PlanRow]]]) -> list[Piece]:
    words = {"+": "create", "~": "change", "-/+": "replace", "-": "remove"}
    used = {row.symbol: row.style for _, rows in groups for row in rows}
    pieces = [Piece("live → desired", Style.FAINT)]
    for symbol, word in words.items():
        if symbol in used:
            pieces += [Piece("   "), Piece(symbol, used[symbol]), Piece(f" {word}", Style.FAINT)]
    return pieces


def _rows(actions: Iterable[Action]) -> list[PlanRow]:
    """One row for each action; the removal and the creation of one link are one row."""
    actions = tuple(actions)
    created = {action.key: action for action in actions if action.verb is ActionVerb.CREATE}
    replaced = {action.key for action in actions if action.verb is ActionVerb.REMOVE and action.key in created}
    rows = []
    for action in actions:
        fact = action.after if action.after is not None else action.before
        assert fact is not None
        if action.verb is ActionVerb.REMOVE and action.key in replaced:
            after = created[action.key].after
            assert after is not None and action.before is not None
            value = change_value(action.before, after)
            rows.append(PlanRow("-/+", Style.BAD, fact, value, action, action.consequences))
        elif action.verb is ActionVerb.CREATE and action.key in replaced:
            continue
        elif action.verb is ActionVerb.CHANGE and action.before is not None:
            value = change_value(action.before, fact)
            rows.append(PlanRow("~", Style.CHANGE, fact, value, action, action.consequences))
        elif action.verb is ActionVerb.CREATE:
            rows.append(PlanRow("+", Style.GOOD, fact, fact_value(fact), action, action.consequences))
        else:
            rows.append(PlanRow("-", Style.BAD, fact, fact_value(fact), action, action.consequences))
    return rows


def _groups(plan: Plan) -> list[tuple[str, list[PlanRow]]]:
    """Rows by resource, in the order in which the configuration names them; what nothing asks for comes last."""
    groups: dict[str, list[PlanRow]] = {}
    for row in _rows(plan.actions):
        groups.setdefault(row.action.resource, []).append(row)

    def place(item: tuple[str, list[PlanRow]]) -> tuple[bool, Origin | str]:
        origins = [row.action.origin for row in item[1] if row.action.origin is not None]
        return (not origins, min(origins) if origins else item[0])

    return sorted(groups.items(), key=place)


def _side(facts: Facts, holds: Iterable[HeldChange]) -> StateSide:
    by_link: dict[str, list[Fact]] = {}
    for key, fact in facts.items():
        if len(key) > 1:
            by_link.setdefault(key[1], []).append(fact)
        if isinstance(fact, Port):
            by_link.setdefault(fact.master, []).append(fact)
    blind = frozenset(hold.key[1] for hold in holds if hold.gate is Gate.UNKNOWN and hold.key[0] == "address")
    return StateSide(facts, by_link, blind)


def _group_lines(
    plan: Plan, sides: tuple[StateSide, StateSide], title: str, rows: list[PlanRow], value_width: int, width: int
) -> Iterator[list[Piece]]:
    before, after = sides
    kernel_name = _kernel_name(plan, title, rows)
    heading = [Piece(title or "No longer desired", Style.STRONG)]
    if kernel_name and kernel_name != title.partition("/")[2]:
        heading.append(Piece(f" ({kernel_name})"))
    yield heading
    yield from wrapped(_state(before, kernel_name, rows), first="    before", indent=MARGIN, width=width)
    for row in rows:
        yield from _row_lines(plan, row, value_width, width)
    yield from wrapped(_state(after, kernel_name, rows), first="    after", indent=MARGIN, width=width)
    yield from _blame_lines([row.action for row in rows], width)


def _kernel_name(plan: Plan, title: str, rows: list[PlanRow]) -> str:
    kind, _, name = title.partition("/")
    if kind != "Interface":
        return ""
    if name in plan.names:
        return plan.names[name]
    return str(getattr(rows[0].fact, "link", None) or getattr(rows[0].fact, "name", ""))


def _state(side: StateSide, link: str, rows: list[PlanRow]) -> str:
    """One line about a resource: its link with everything planned on it, or just the facts of its actions."""
    facts, near = side.facts, side.by_link.get(link, ())
    if not link:
        values = [fact_value(facts[key]) for key in dict.fromkeys(row.fact.key for row in rows) if key in facts]
        return ", ".join(values) or "absent"
    words = []
    make = facts.get(("link", link))
    if make is None and not any(fact.key[1] == link for fact in near):
        return "absent"
    if isinstance(make, Link) and make.kind is not LinkKind.PHYSICAL:
        words.append(fact_value(make))
        members = sorted(fact.link for fact in near if isinstance(fact, Port) and fact.master == link)
        words += [f"of {', '.join(members)}"] if members else []
    for key in (("port", link), ("power", link), ("mtu", link)):
        fact = facts.get(key)
        if isinstance(fact, Port):
            words.append(f"in {fact.master}")
        elif isinstance(fact, Power):
            words.append(fact_value(fact))
        elif isinstance(fact, Mtu):
            words.append(f"mtu {fact.size}")
    addresses = [fact.address for fact in near if isinstance(fact, Address)]
    words += sorted(addresses) or ["addresses unknown" if link in side.blind else "no address"]
    mark = facts.get(("mark", link))
    if isinstance(mark, Mark) and mark.text:
        words.append(f"alias {mark.text!r}")
    return f"{unbroken(' ·')} ".join(unbroken(word) for word in words)


def _row_lines(plan: Plan, row: PlanRow, value_width: int, width: int) -> Iterator[list[Piece]]:
    action, indent = row.action, MARGIN + WORD_WIDTH
    opening = [
        Piece(f"    {row.symbol:<{MARGIN - 4}}", row.style),
        Piece(f"{fact_word(row.fact):<{WORD_WIDTH}}"),
    ]
    if len(row.value) <= value_width:
        opening.append(Piece(f"{row.value:<{value_width}}  ", Style.STRONG))
        used = indent + value_width + 2
    else:
        first, *more = wrapped(row.value, first="", indent=indent, width=width, style=Style.STRONG)
        yield [*opening, *first[1:]]
        yield from more
        opening, used = [Piece(" " * indent)], indent
    opening.append(Piece(f"{action.impact.name.lower():<{IMPACT_WIDTH}}", IMPACT_STYLES[action.impact]))
    used += IMPACT_WIDTH
    place = f"{action.origin.file}:{action.origin.line}" if action.origin is not None else ""
    reason = _short_reason(row)
    if used + len(reason) + 2 + len(place) <= width:
        gap = width - used - len(reason) - len(place)
        yield [*opening, Piece(reason), Piece(" " * gap + place, Style.FAINT)]
    elif used + len(reason) <= width:
        yield [*opening, Piece(reason)]
        yield from wrapped(place, first="", indent=indent, width=width, style=Style.FAINT) if place else ()
    else:
        yield opening
        text = reason + (f"  {place}" if place else "")
        yield from wrapped(text, first="", indent=indent, width=width, style=Style.FAINT)
    yield from _consequence_lines(plan, row, indent, width)


def _short_reason(row: PlanRow) -> str:
    """The reason without what the value says already."""
    if row.symbol == "-/+":
        return "needs a new link"
    return "differs" if row.symbol == "~" and row.action.reason.startswith("differs: ") else row.action.reason


def _consequence_lines(plan: Plan, row: PlanRow, indent: int, width: int) -> Iterator[list[Piece]]:
    """What goes by itself; of power and MTU only what is worse in the end."""
    told: list[str] = []
    for fact in row.consequences:
        then, now = plan.before.get(fact.key), plan.after.get(fact.key)
        if isinstance(fact, Power):
            told += [f"takes {fact.link} down"] if isinstance(now, Power) and not now.up and fact.up else []
        elif isinstance(fact, Mtu):
            moved = isinstance(then, Mtu) and isinstance(now, Mtu) and then != now
            told += [f"changes the mtu of {fact.link}"] if moved else []
        else:
            told.append(f"takes along {fact_name(fact)}")
    told.sort(key=lambda item: not item.startswith("takes along "))
    more = len(told) - NAMED_MAX
    text = ", ".join(unbroken(item) for item in told[:NAMED_MAX]).replace(f", {unbroken('takes along ')}", ", ")
    if told:
        text += f" and {more} more" if more > 0 else ""
        yield from wrapped(text, first="", indent=indent, width=width, style=Style.CHANGE)


def _blame_lines(changes: Sequence[Action | OrdersChange], width: int) -> Iterator[list[Piece]]:
    """Who asks for the changes: once for each commit, with the lines it is about when there are several commits."""
    asking: dict[Blame, list[str]] = {}
    for change in changes:
        if change.blame is not None and change.origin is not None:
            places = asking.setdefault(change.blame, [])
            place = f"{change.origin.file}:{change.origin.line}"
            if place not in places:
                places.append(place)
    for blame, places in asking.items():
        signed = f"signed by {blame.signer}" if blame.signer else "not signed"
        text = f"{blame.commit[:7]}  {blame.author}, {signed}  “{blame.summary}”"
        if len(asking) > 1:
            text += f"  ({', '.join(places)})"
        yield from wrapped(text, first="    asked", indent=MARGIN, width=width, style=Style.FAINT)


def _hold_lines(holds: tuple[HeldChange, ...], width: int) -> Iterator[list[Piece]]:
    if not holds:
        return
    yield []
    yield [Piece("Held", Style.STRONG), Piece(": will not be done until the gate opens", Style.FAINT)]
    for (resource, gate, why, remedy), members in _alike(holds).items():
        names = [_key_name(hold) for hold in members]
        what = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        origin = members[0].origin
        place = f"  {origin.file}:{origin.line}" if origin is not None else ""
        yield [
            Piece("      ! ", Style.CHANGE),
            Piece(f"  {resource}" if resource else "  ", Style.STRONG),
            Piece(f" {what} "),
            Piece(f"[{gate.value}]", Style.CHANGE),
            Piece(place, Style.FAINT),
        ]
        yield from wrapped(why, first="", indent=MARGIN, width=width)
        yield from wrapped(remedy, first="    to do", indent=MARGIN, width=width, style=Style.NOTE)


def _alike(holds: tuple[HeldChange, ...]) -> dict[tuple[str, Gate, str, str], list[HeldChange]]:
    """Holds that say the same of one resource, together."""
    result: dict[tuple[str, Gate, str, str], list[HeldChange]] = {}
    for hold in holds:
        result.setdefault((hold.resource, hold.gate, hold.why, hold.remedy), []).append(hold)
    return result


def _key_name(hold: HeldChange) -> str:
    word, *rest = hold.key
    if word == "address":
        return f"address {rest[-1]}"
    if word == "route":
        return f"route to {rest[0]}"
    if word in STORAGE_WORDS:
        return rest[-1] if word.endswith("property") else f"{word} {rest[-1]}"
    return "alias" if word == "mark" else word


def _left_heading(foreign: tuple[Foreign, ...]) -> str:
    return ": not made by hagit, on links it manages" if any(item.fact.key[0] != "dataset" for item in foreign) else ""


def _foreign_lines(foreign: tuple[Foreign, ...], width: int) -> Iterator[list[Piece]]:
    if not foreign:
        return
    yield []
    yield [Piece("Left alone", Style.STRONG), Piece(_left_heading(foreign), Style.FAINT)]
    names = [fact_name(item.fact) for item in foreign]
    column = min(max(len(name) for name in names), 48)
    for item, name in zip(foreign, names, strict=True):
        text = f"{name:<{column}}   {item.note}"
        if len(text) + MARGIN <= width:
            yield [Piece(" " * MARGIN), Piece(f"{name:<{column}}   "), Piece(item.note, Style.FAINT)]
        else:
            yield [Piece(" " * MARGIN), Piece(name)]
            yield [Piece(" " * (MARGIN + 2)), Piece(item.note, Style.FAINT)]
