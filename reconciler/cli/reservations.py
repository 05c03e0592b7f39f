"""`hagit reservations`: shows who holds each disk, in words, and what is wrong; `repair` puts it right.

`show` looks at the disks themselves, so it works on either controller, whatever runs, and changes nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from reconciler.cli.disk_access import DiskAccess
from reconciler.cli.options import NodeOption, Output, OutputOption, YesOption
from reconciler.cli.terminal import fold, styled, width
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.key import Key, encode_key
from reconciler.core.failover.reservations.repair import key_text
from reconciler.core.failover.reservations.reservation_state import DiskView, for_pair, judge
from reconciler.system.reservation.registration_state import TYPE, TYPE_WORDS, Features
from reconciler.system.shelf.shared_disk import DiskSurvey

#: Time limit for looking at all disks.
LOOK_S: Final = 8.0
WELL, NOT_WELL = 0, 2


class ReservationsWord(StrEnum):
    """What to do with the reservations."""

    SHOW = "show"
    REPAIR = "repair"


def reservations(
    what: Annotated[
        ReservationsWord, typer.Argument(help="Show them, or repair what this controller may repair.")
    ] = ReservationsWord.SHOW,
    foreign: Annotated[
        list[str] | None,
        typer.Option("--foreign", help="A key that hagit did not write and that repair may remove.", metavar="KEY"),
    ] = None,
    yes: YesOption = False,
    detailed: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 0: all is well, 1: an error, 2: something is not.")
    ] = False,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Show who holds which disk, and who else could write to it; or repair that.

    `show` asks every disk of the orders. `repair` says what it would do and asks:
    on the active controller it completes the claim (disks that came back, others
    that are still registered), on the other it gives up registrations of its own.
    It never leaves a disk without a holder, and refuses while the watchdog is at work.

    \b
    Example:  hagit reservations
              hagit reservations show -o json
              hagit reservations repair --foreign 0xabc123
    """
    if what is ReservationsWord.REPAIR:
        from reconciler.cli.reservations_repair import repair_reservations

        return repair_reservations(node, output is Output.JSON, yes=yes, foreign=foreign or [])
    return _show(node, output is Output.JSON, detailed=detailed)


def _show(node_file: Path | None, as_json: bool, *, detailed: bool) -> int:
    """`hagit reservations show`."""
    access = DiskAccess(node_file)
    try:
        found = access.disks.survey(LOOK_S)
    finally:
        access.close()
    orders = access.orders
    lines = [DiskReport(orders, at, one) for at, one in enumerate(found)]
    owner = judge(orders, 0, tuple(line.view for line in lines)).owner
    for line in lines:
        line.judge(owner)
        if line.at >= access.known:
            line.notes.append("only newer orders name it, and they are pending: see `hagit status`")
    if as_json:
        print(json.dumps(_document(orders, owner, lines), indent=1))
    else:
        for text in page_lines(orders, owner, lines):
            print(text)
    return NOT_WELL if detailed and any(line.problems for line in lines) else WELL


class DiskReport:
    """One disk as it was seen: `problems` that must be put right, `notes` that weaken the pair or explain it."""

    def __init__(self, orders: Orders, at: int, found: DiskSurvey | DiskView) -> None:
        self.name, self.at, self._orders = orders.disks[at], at, orders
        self.survey = found if isinstance(found, DiskSurvey) else DiskSurvey(self.name)
        standing = self.survey.standing
        if isinstance(found, DiskView):
            self.view = found
        else:
            self.view = standing.view() if standing is not None else DiskView(False)
        self.view = for_pair(self.view, orders.pair)
        #: How many paths are registered with each key.
        self.counts = Counter(standing.registered if standing is not None else ())
        self.problems: list[str] = []
        self.notes: list[str] = []

    def judge(self, owner: Key | None) -> None:
        """Fill in problems and notes. `owner` holds the majority of the arbitration disks."""
        view, say = self.view, self.problems.append
        if not view.answered:
            say(self.survey.trouble or "it does not answer")
            return
        if owner is not None and view.holder is None:
            say("no controller holds it: the other one could write to it")
        elif owner is not None and view.holder != owner:
            assert view.holder is not None
            say(f"{key_text(self._orders, view.holder)} holds it, not the owner of the pair")
        if view.holder is not None and view.kind != TYPE:
            say(f"the reservation is of type {view.kind} ({TYPE_WORDS.get(view.kind, 'unknown')}), not {TYPE}")
        for key in sorted(view.registered - {view.holder, owner}, key=encode_key):
            say(f"{key_text(self._orders, key)} is registered as well and may write to it")
        count, paths = self.counts[encode_key(owner)] if owner is not None else 0, len(self.survey.paths)
        if owner is not None and owner.side is self._orders.side and view.holder == owner and 0 < count < paths:
            say(
                f"only {count} of {paths} paths ({', '.join(self.survey.paths)}) are registered: writes over the others"
                " are refused; the active controller registers a path that nothing has opened"
            )
        if self.survey.down:
            self.notes.append(f"path {', '.join(self.survey.down)} is down")
        if self.survey.records:
            say(f"no place for heartbeat records: {self.survey.records}")
        self.notes += _capability_notes(self.survey.features)

    def text(self) -> str:
        """The holder of the disk, in a sentence."""
        view = self.view
        if not view.answered:
            return "not known"
        if view.holder is None:
            return "no controller holds it" + ("" if view.registered else ", no key is registered")
        count = self.counts[encode_key(view.holder)]
        paths = f" (on {count} paths)" if count > 1 else ""
        return f"{key_text(self._orders, view.holder)}{paths}"

    def document(self) -> dict[str, Any]:
        """JSON form of the disk."""
        standing, features = self.survey.standing, self.survey.features
        registrations = self.survey.registrations
        return {
            "disk": self.name,
            "arbitration": self.at in self._orders.arbitration,
            "answered": self.view.answered,
            "holder": None if self.view.holder is None else _key(self._orders, self.view.holder),
            "type": self.view.kind if self.view.holder is not None else None,
            "registered": [
                _key(self._orders, key) | {"paths": self.counts[encode_key(key)] or None}
                for key in sorted(self.view.registered, key=encode_key)
            ],
            "initiators": None
            if registrations is None
            else [{"key": f"{one.key:#x}", "holds": one.holds, "who": one.who} for one in registrations],
            "generation": standing.generation if standing is not None else None,
            "paths": list(self.survey.paths),
            "paths_down": list(self.survey.down),
            "paths_registered": self.counts[encode_key(view.holder)] if (view := self.view).holder is not None else 0,
            "persists": features.persists,
            "persisting": features.persisting,
            "aborts": features.aborts,
            "problems": self.problems,
            "notes": self.notes,
        }


def _capability_notes(features: Features) -> Iterator[str]:
    """What the disk cannot do, or was not told to do, that weakens a fence."""
    if features.aborts is False:
        yield "knows no PREEMPT AND ABORT: commands that it has begun for the other finish"
    if features.persists is False:
        yield "forgets its reservation when it loses power"
    elif features.persisting is False:
        yield "was not told to keep its reservation when it loses power"


def _key(orders: Orders, key: Key) -> dict[str, Any]:
    """JSON form of a key: its number, and whose it is."""
    controller = None if key.side is None else orders.controller(key.side)
    claim = None if key.side is None else key.claim
    machine = f"{key.machine:03x}" if key.machine else None
    return {"key": f"{encode_key(key):#x}", "controller": controller, "claim": claim, "machine": machine}


def _document(orders: Orders, owner: Key | None, lines: list[DiskReport]) -> dict[str, Any]:
    """JSON form of all disks."""
    return {
        "format": "hagit.reservations/1",
        "controller": orders.controller(orders.side),
        "pair": orders.pair,
        "owner": None if owner is None else _key(orders, owner),
        "line": _verdict(orders, owner, lines),
        "well": not any(line.problems for line in lines),
        "disks": [line.document() for line in lines],
    }


def _verdict(orders: Orders, owner: Key | None, lines: list[DiskReport]) -> str:
    """Who holds the disks, and how many are wrong, in a sentence."""
    count = len(lines)
    answered = sum(line.view.answered for line in lines)
    if owner is None:
        held = sum(line.view.holder is not None for line in lines)
        if not held:
            return f"No controller holds the disks; {answered} of {count} answer."
        return f"No controller holds a majority of the arbitration disks; {held} of {count} disks are held."
    holds = sum(line.view.holder == owner for line in lines)
    wrong = sum(bool(line.problems) for line in lines)
    text = f"{key_text(orders, owner)} holds {'all' if holds == count else holds} of {count} disks"
    they = "is not as it" if wrong == 1 else "are not as they"
    return text + (f"; {wrong} of them {they} should be." if wrong else ", alone.")


def page_lines(orders: Orders, owner: Key | None, lines: list[DiskReport]) -> Iterator[str]:
    """Text form of all disks, line by line. Notes that all disks share come once, at the end."""
    well = not any(line.problems for line in lines)
    yield styled(_verdict(orders, owner, lines), 1, 32 if well and owner else 33)
    column = max(len(line.name) for line in lines) + 2
    noted = [set(line.notes) for line in lines if line.view.answered]
    common = set.intersection(*noted) if len(noted) > 1 else set()
    for line in lines:
        mark = "*" if line.at in orders.arbitration else " "
        first, *rest = fold(line.text(), width() - column - 3)
        yield f" {mark}{line.name:<{column}}{first}"
        for text in rest:
            yield " " * (column + 2) + text
        notes = [note for note in line.notes if note not in common]
        for sign, color, texts in (("✗", 31, line.problems), ("!", 33, notes)):
            for text in texts:
                head, *more = fold(text, width() - 8)
                yield f"    {styled(sign, 1, color)} {head}"
                yield from (f"      {one}" for one in more)
    for note in sorted(common):
        head, *more = fold(f"every {'disk' if len(noted) == len(lines) else 'other disk'} {note}", width() - 4)
        yield f" {styled('!', 1, 33)} {head}"
        yield from (f"   {one}" for one in more)
    if orders.arbitration:
        yield " * arbitration disk: their majority says who is active"
    if not well:
        yield " `hagit reservations repair` does what this controller may do about it"
