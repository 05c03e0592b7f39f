"""The plan of a pair for people: the steps and what clients wait for, then the plan of each controller."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.facts.duration import duration_text
from reconciler.core.planning.render import render_plan, short_revision
from reconciler.core.planning.styled_text import Piece, Style, paint, unbroken, wrapped
from reconciler.core.rollout.pair_plan import PairPlan, PairStep, PairStepKind
from reconciler.core.rollout.rollout_state import ServingRole

INDENT = 15


def render_pair_plan(plan: PairPlan, *, color: bool, width: int) -> str:
    """The plan as text, lines at most `width` columns where words allow it, without a newline at the end."""
    sides = (render_plan(side.plan, color=color, width=max(width, 60)) for side in plan.sides)
    return "\n\n".join((render_pair_steps(plan, color=color, width=width), *sides))


def render_pair_steps(plan: PairPlan, *, color: bool, width: int) -> str:
    """The steps, what stops them and what is not known, without the plans of the controllers."""
    width = max(width, 60)
    lines = [[Piece(line, Style.STRONG)] for line in _fold(pair_verdict(plan), width)]
    for number, step in enumerate(plan.steps, 1):
        lines += _step_lines(number, step, plan, width)
    for stop in dict.fromkeys(plan.stops):
        lines.append([])
        lines += wrapped(stop.why, first="Stops:", indent=9, width=width, style=Style.BAD)
        if stop.remedy:
            lines += wrapped(stop.remedy, first="to do:", indent=9, width=width, style=Style.NOTE)
    for sentence in plan.unknown:
        lines.append([])
        lines += wrapped(sentence, first="Unknown:", indent=9, width=width, style=Style.CHANGE)
    return "\n".join(paint(line, color=color) for line in lines)


def pair_verdict(plan: PairPlan) -> str:
    """The plan in one sentence."""
    revision = short_revision(plan.revision)
    if not plan.steps:
        if plan.stops:
            return f"Plan for the pair at {revision}: nothing is done now."
        alone = "" if len(plan.sides) > 1 else f" on {plan.sides[0].state.controller}"
        return f"Plan for the pair at {revision}: no changes{alone}."
    steps = f"{len(plan.steps)} step{'s' if len(plan.steps) > 1 else ''}"
    moves = f", {plan.switchovers} switchover{'s' if plan.switchovers > 1 else ''}" if plan.switchovers else ""
    wait = plan.interruption_ms
    if wait is None:
        clients = "how long clients wait cannot be predicted"
    elif wait:
        clients = f"clients wait at most {duration_text(wait)}"
    else:
        clients = "clients do not notice it"
    ends = "; then it stops" if plan.stops else ""
    return f"Plan for the pair at {revision}: {steps}{moves}; {clients}{ends}."


def _step_lines(number: int, step: PairStep, plan: PairPlan, width: int) -> Iterator[list[Piece]]:
    switchover = step.kind is PairStepKind.SWITCHOVER
    there = "b" if step.controller == "a" else "a"
    who = f"{step.controller} → {there}" if switchover else f"{step.controller} {_role(step.role)}"
    what = "switchover" if switchover else f"apply {_amount(step)}"
    yield from wrapped(f"{what}: {step.why}", first=f"  {number}  {who}", indent=INDENT, width=width)
    yield from wrapped(_clients(step, plan), first="", indent=INDENT, width=width, style=Style.FAINT)


def _role(role: ServingRole) -> str:
    return {ServingRole.IDLE: "", ServingRole.UNKNOWN: "role ?"}.get(role, role.value)


def _amount(step: PairStep) -> str:
    parts = []
    if step.actions or not step.orders:
        parts.append(f"{step.actions} action{'' if step.actions == 1 else 's'}")
    if step.orders:
        parts.append("new orders")
    return " and ".join(parts)


def _clients(step: PairStep, plan: PairPlan) -> str:
    """What clients wait for in a step, with its arithmetic."""
    if step.kind is PairStepKind.SWITCHOVER:
        if step.interruption_ms is None:
            return "clients wait: not known, because the watchdog says nothing of it"
        terms = " + ".join(f"{unbroken(duration_text(ms))} {what}" for what, ms in step.parts)
        measured = ""
        if plan.measured_ms:
            low, high = min(plan.measured_ms), max(plan.measured_ms)
            took = duration_text(high) if low == high else f"{duration_text(low)} to {duration_text(high)}"
            runs = len(plan.measured_ms)
            measured = f"; the last {'one' if runs == 1 else runs} took {took}"
        return f"clients wait at most {unbroken(duration_text(step.interruption_ms))} = {terms}{measured}"
    if step.noticed:
        count = f"{step.noticed} action{'' if step.noticed == 1 else 's'}"
        return f"clients wait: not predicted; {count} on links that serve clients, and no switchover spares them"
    if step.role is ServingRole.STANDBY:
        return f"clients wait 0 ms: {step.controller} serves none"
    return "clients wait 0 ms: no action interrupts a link that serves them"


def _fold(text: str, width: int) -> list[str]:
    return ["".join(piece.text for piece in line) for line in wrapped(text, first="", indent=0, width=width)]
