"""The watchdog's status as text: the verdict in a line, the reasons, then both sides, heartbeats, orders, readiness.

The reader was woken at night, so the problems and their remedies come first. Lines fit 80 columns; longer names and
reasons are folded under their label.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from reconciler.cli.duration import duration_text
from reconciler.cli.share_text import server_text
from reconciler.cli.terminal import fold, styled, width
from reconciler.core.status.timeline import FailoverSummary
from reconciler.core.status.watchdog import (
    WEAKENING,
    ChannelStatus,
    PairVerdict,
    PowerStatus,
    ReasonStatus,
    WatchdogStatus,
    watchdog_document,
)
from reconciler.system.watchdog_client import StatusReading

LABEL: Final = 12
#: Name of a move by the code of its cause; every other is a failover.
MOVES: Final = {
    "ASKED": "switchover",
    "HANDED": "switchover",
    "FORCED": "force-activate",
    "NO_OWNER": "start",
    "PEER_ABSENT": "start",
    "PEER_UNABLE": "start",
}
#: Codes of reasons that the operator decided, in the order in which the verdict names them.
DECISIONS: Final = ("NO_FAILOVER", "OVERRIDE", "MAINTENANCE")
GREEN, RED, YELLOW, DIM, BOLD = 32, 31, 33, 2, 1
COLORS: Final = {
    PairVerdict.ACTIVE.value: GREEN,
    PairVerdict.DISABLED.value: YELLOW,
    PairVerdict.MOVING.value: YELLOW,
    PairVerdict.UNAVAILABLE.value: RED,
}


def reading_document(reading: StatusReading) -> dict[str, Any]:
    """JSON form: the verdict in a line, whether all is well, and the whole status."""
    return {
        "verdict": verdict_word(reading),
        "line": verdict_line(reading),
        "well": reading.fresh and reading.status is not None and reading.status.verdict == PairVerdict.ACTIVE,
        "fresh": reading.fresh,
        "age_ms": reading.age_ms,
        "problem": reading.problem,
        "remedy": reading.remedy,
        "status": None if reading.status is None else watchdog_document(reading.status),
    }


def verdict_word(reading: StatusReading) -> str:
    """One of the four verdicts. Without a running watchdog HA is unavailable."""
    return reading.status.verdict if reading.fresh and reading.status is not None else PairVerdict.UNAVAILABLE.value


def verdict_line(reading: StatusReading) -> str:
    """The verdict in one line, with its main reason."""
    status = reading.status
    if status is None or not reading.fresh:
        return f"{PairVerdict.UNAVAILABLE}: {reading.problem}."
    count = len(status.reasons)
    match status.verdict:
        case PairVerdict.ACTIVE:
            who = _sides(status)
            return f"HA active: {who}." if not count else f"HA active, with {_counted(count, 'warning')}: {who}."
        case PairVerdict.MOVING:
            peer = f"{status.peer.controller or 'the peer'} is {status.peer.role or 'not heard'}"
            return f"Failing over now: {status.controller} is {status.role}, {peer}."
        case _:
            first = _main_reason(status)
            more = f", and {_counted(count - 1, 'more reason')}" if count > 1 else ""
            return f"{status.verdict}: {first.text if first else status.why}{more}."


def styled_verdict(reading: StatusReading) -> str:
    """The line in the colour of its verdict."""
    return styled(verdict_line(reading), BOLD, COLORS.get(verdict_word(reading), RED))


def status_lines(reading: StatusReading) -> Iterator[str]:
    """The lines below the verdict."""
    status = reading.status
    if reading.problem:
        yield from _field("watchdog", f"not to be relied on: {reading.problem}", RED)
        if reading.remedy:
            yield from _field("", f"→ {reading.remedy}")
    if status is None:
        return
    if not reading.fresh:
        yield from _field("", f"what follows was so {duration_text(reading.age_ms)} ago", YELLOW)
    yield from reason_lines(status.reasons)
    yield from _controllers(status)
    yield from _field("heartbeats", ", ".join(_channel(one, status) for one in _channels(status)) or "no channel")
    yield from _field("orders", _orders(status))
    yield from _resources(status)
    yield from _readiness(status)
    if status.failover is not None:
        yield from _field("last move", f"{utc_text(status.failover.at)}  {failover_text(status.failover)}")
    if reading.fresh:
        late = f", woke {status.lateness_ms_max} ms late at most" if status.lateness_ms_max else ""
        yield from _field("watchdog", f"running (pid {status.pid}) since {utc_text(status.started)}{late}")


def reason_lines(reasons: tuple[ReasonStatus, ...]) -> Iterator[str]:
    """Each reason with its evidence and remedy. Reasons that make HA unavailable come before those that weaken it."""
    for reason in sorted(reasons, key=lambda one: one.code in WEAKENING):
        color, mark = (YELLOW, "!") if reason.code in WEAKENING else (RED, "✗")
        evidence = f" ({reason.evidence})" if reason.evidence else ""
        first, *rest = fold(f"{reason.text}{evidence}", _room() - 4)
        yield f"  {styled(mark, BOLD, color)} {styled(reason.code, BOLD)}"
        yield from (f"      {line}" for line in (first, *rest))
        if reason.remedy:
            lines = fold(reason.remedy, _room() - 4)
            yield from (f"    {' ' if at else '→'} {line}" for at, line in enumerate(lines))


def failover_text(one: FailoverSummary) -> str:
    """One failover in a sentence, with the durations of its parts."""
    word = "drill" if one.drill else MOVES.get(one.code, "failover")
    what = f"{word}, {'taken over' if one.kind == 'takeover' else 'released'} here"
    names = (("detection", one.detection_ms), ("claim", one.claim_ms), ("release", one.release_ms),
             ("import", one.import_ms), ("shares", one.shares_ms), ("addresses", one.addresses_ms))  # fmt: skip
    parts = ", ".join(f"{name} {duration_text(ms)}" for name, ms in names if ms is not None)
    if one.total_ms is not None:
        ended = f"served again after {duration_text(one.total_ms)}"
    elif one.ended == "running":
        ended = "still running"
    else:
        ended = f"ended {one.ended}"
    predicted = f"; {one.predicted}" if one.predicted else ""
    return f"{what}: {ended}" + (f" ({parts})" if parts else "") + predicted


def utc_text(at: str) -> str:
    """`2026-11-22T03:14:15.926Z` for people: the same without the T, in UTC."""
    return at[:19].replace("T", " ") + (" UTC" if at.endswith("Z") else "")


def switchover_prediction(status: WatchdogStatus) -> str:
    """How long clients would wait during a switchover now: measured before, and the bound of the orders."""
    ready = status.readiness
    most = f"at most {duration_text(ready.switchover_ms)} by the orders"
    if not ready.measured_ms:
        return f"{most}; none was measured here yet"
    low, high = min(ready.measured_ms), max(ready.measured_ms)
    count = len(ready.measured_ms)
    took = duration_text(high) if low == high else f"{duration_text(low)} to {duration_text(high)}"
    return f"about {took}, as the last {'one' if count == 1 else count} took; {most}"


def power_line(power: PowerStatus) -> str:
    """What the peer's power switch said last, and when."""
    doing = f", being asked: {power.doing}" if power.doing else ""
    if power.checked_age_ms is None:
        return f"{power.agent} for {power.controller}, not asked yet{doing}"
    said = f"{power.controller} is {'proven to be ' if power.proven else ''}{power.power}"
    works = "" if power.working else "; it does not work"
    return f"{power.agent} said {duration_text(power.checked_age_ms)} ago: {said}{works}{doing}"


def _sides(status: WatchdogStatus) -> str:
    peer = status.peer
    return f"{status.controller} is {status.role}, {peer.controller} is {peer.role or 'not heard'}"


def _main_reason(status: WatchdogStatus) -> ReasonStatus | None:
    """The reason for the verdict. A decision of the operator goes before its consequences."""
    if status.verdict == PairVerdict.DISABLED:
        for decision in DECISIONS:
            for reason in status.reasons:
                if reason.code == decision:
                    return reason
    return min(status.reasons, key=lambda one: one.code in WEAKENING, default=None)


def _controllers(status: WatchdogStatus) -> Iterator[str]:
    since_ms = max(0, status.at_ms - status.since_ms)
    yield from _field(
        "this side", f"{status.controller}  {_role(status.role)}  {status.phase} for {duration_text(since_ms)}"
    )
    yield from _field("", status.guarantee)
    yield from _field("", f"because {status.why}")
    peer = status.peer
    if peer.age_ms is None:
        yield from _field("the peer", f"{peer.controller or '?'}  never heard since this watchdog started", RED)
        return
    able = ", able to take the pools" if peer.able else ""
    yield from _field(
        "the peer", f"{peer.controller}  {_role(peer.role)}  {peer.phase}, heard {duration_text(peer.age_ms)} ago{able}"
    )


def _role(role: str) -> str:
    return styled(role, BOLD, RED if role == "ERROR" else GREEN if role in ("MASTER", "BACKUP") else YELLOW)


def _channels(status: WatchdogStatus) -> tuple[ChannelStatus, ...]:
    return status.channels if status.record is None else (*status.channels, status.record)


def _channel(one: ChannelStatus, status: WatchdogStatus) -> str:
    if not one.expected and one.silent:
        # Only an active controller writes the record.
        return f"{one.name} not expected"
    text = f"{one.name} {duration_text(one.age_ms)}"
    return styled(f"{text} SILENT", BOLD, RED) if one.silent and one.expected else text


def _orders(status: WatchdogStatus) -> str:
    orders = status.orders
    there = "unknown there" if orders.there is None else f"{orders.there} there"
    same = "" if orders.there is None else ", the same" if orders.equal else ", different"
    waits = "; its disks are not in force yet" if orders.pending else ""
    return (
        f"generation {orders.here} here, {there}{same}{waits}; failover {'enabled' if orders.enabled else 'disabled'}"
    )


def _resources(status: WatchdogStatus) -> Iterator[str]:
    for one in status.addresses:
        state = "here" if one.present else "missing here" if one.wanted else "not here"
        if one.present and not one.wanted and status.phase == "standby":
            state = "here, although this controller is on standby"
        yield from _field("address", f"{one.address} on {one.interface}: {state}")
    given_up = f"; given up: {', '.join(status.pools.out)}" if status.pools.out else ""
    yield from _field("pools", f"{status.pools.state} here{given_up}")
    for at, server in enumerate(status.servers):
        well = not server.wanted or (server.serving == "up" and not server.unserved)
        yield from _field("" if at else "shares", server_text(server), *(() if well else (YELLOW,)))
        for note in server.notes:
            yield from _field("", note)
    for carp in status.carp:
        heard = "none heard" if carp.heard_age_ms is None else f"heard {duration_text(carp.heard_age_ms)} ago"
        role = carp.role or "no role yet"
        yield from _field("carp", f"{carp.interface} VHID {carp.vhid}: {role}, {carp.sent} sent, {heard}")
    deadman = status.deadman
    where = f" ({deadman.device}, {duration_text(deadman.timeout_ms)})" if deadman.device else ""
    yield from _field("deadman", f"{deadman.state}{where}")
    if status.power is not None:
        yield from _field("power", power_line(status.power))
    # An override counts as maintenance too; show it once.
    quiet_ms = status.maintenance_left_ms if status.override is None else None
    for name, left_ms in (("maintenance", quiet_ms), ("held back", status.held_back_left_ms)):
        if left_ms is not None:
            yield from _field(name, f"{duration_text(left_ms)} left; `hagit maintenance --end` ends it")
    if status.override is not None:
        word = "enabled" if status.override.enabled else "disabled"
        left = f"{duration_text(status.override.left_ms)} left"
        yield from _field("override", f"failover {word} by a person, {left}; `hagit failover enable` ends it")


def _readiness(status: WatchdogStatus) -> Iterator[str]:
    ready = status.readiness
    if ready.ready:
        yield from _field("switchover", f"ready; clients wait {switchover_prediction(status)}")
    elif status.phase != "active":
        other = status.peer.controller or "the other controller"
        yield from _field(
            "switchover", f"not from here: ask on {other}" if status.peer.phase == "active" else "not now"
        )
    else:
        for at, obstacle in enumerate(ready.obstacles):
            yield from _field("" if at else "switchover", f"not now: {obstacle}" if not at else obstacle, YELLOW)


def _field(label: str, text: str, *codes: int) -> Iterator[str]:
    """One labelled text, folded at the width of the screen."""
    # Do not fold text with colour inside: its sequences would count as columns. Such texts are short.
    lines = [text] if "\x1b" in text else fold(text, _room() - LABEL + 2)
    for at, line in enumerate(lines):
        yield f"  {label if not at else '':<{LABEL}}{styled(line, *codes) if codes else line}"


def _room() -> int:
    return width() - 4


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
