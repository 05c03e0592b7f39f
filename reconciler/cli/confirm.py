"""`hagit confirm` and `hagit revert`: keep a change that could cut this controller off, or take it back at once.

`apply` and `rollback` wait here for the end of such a change. Where no agent runs, the command itself minds its timer.
"""

from __future__ import annotations

import sys

from reconciler.agent.session import Session
from reconciler.cli.options import NodeOption
from reconciler.cli.terminal import ProgressLine, styled, survive_hangup
from reconciler.core.confirmation.pending_change import ChangeStage, PendingChange, names_in_words
from reconciler.errors import ChangePendingError
from reconciler.system.clock import monotonic_s

BY_A_PERSON = "an operator asked for it"


def confirm(node: NodeOption = None) -> int:
    """Keep the change that waits for a confirmation on this controller.

    \b
    Example:  hagit apply --confirm-within 2m
              hagit confirm
    """
    with Session(node) as session:
        kept = session.changes.keep("confirmed by an operator")
        session.notify_agent()
    print(f"{styled('Confirmed', 32, 1)} {kept.revision.name}: it stays.")
    return 0


def revert(node: NodeOption = None) -> int:
    """Take back the change that waits for a confirmation, at once.

    The controller goes back to the revision before. The one that is taken back is
    blocked until another commit comes.

    \b
    Example:  hagit revert
    """
    with Session(node) as session:
        survive_hangup()
        reverted = session.changes.revert(BY_A_PERSON)
        session.notify_agent()
    _print_end(reverted)
    return 0


def await_confirmation(session: Session, *, as_json: bool) -> PendingChange | None:
    """Wait for the end of the change that was just made; None when it needed no confirmation.

    Does not wait for a person: when only a person may keep the change and the agent minds its timer, returns at once.
    """
    change = session.changes.open_change()
    if change is None:
        return None
    if change.manual and not as_json:
        print(f"It is taken back after {change.timeout_s:g} s unless you keep it:  hagit confirm", flush=True)
    if change.manual and session.agent_runs:
        return change
    try:
        with ProgressLine() as progress:
            ended = session.changes.attend(lambda now, silent: progress.show(_waits(now, silent)))
    except KeyboardInterrupt:
        if session.agent_runs:
            raise
        print("No agent runs here to mind the timer, so the change is taken back now.", file=sys.stderr)
        ended = _taken_back(session)
    if ended is not None and not as_json:
        _print_end(ended)
    return ended


def _taken_back(session: Session) -> PendingChange | None:
    try:
        return session.changes.revert(BY_A_PERSON)
    except ChangePendingError:
        return session.changes.read()


def _waits(change: PendingChange, silent: frozenset[str] | None) -> str:
    left_s = max(0.0, change.deadline_s - monotonic_s())
    waits = f"waiting for {names_in_words(silent)}" if silent else "waiting for a confirmation"
    return f"{waits}; taken back in {left_s:.0f} s (hagit confirm keeps it)"


def _print_end(change: PendingChange) -> None:
    if change.stage is ChangeStage.KEPT:
        print(f"Kept: {change.why}.")
    elif change.stage is ChangeStage.REVERTED:
        back = f"{change.back.name} is in force again" if change.back is not None else "nothing is in force"
        print(f"{styled('Taken back', 31, 1)} {change.revision.name}: {change.why}; {back}.", file=sys.stderr)
