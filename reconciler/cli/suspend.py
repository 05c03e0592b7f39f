"""`hagit suspend` and `hagit resume`: keep the agent of this controller from applying for a time, or end that.

The agent goes on watching: it follows the source, reports drift, and alerts that it is suspended.
"""

from __future__ import annotations

from typing import Annotated, Final

import typer

from reconciler.agent.session import Session
from reconciler.cli.duration import duration_text, parsed_ms
from reconciler.cli.options import NodeOption
from reconciler.errors import UsageError
from reconciler.system.clock import wall_s

REASON_LENGTH_MAX: Final = 200


def suspend(
    last: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, at most 168h.", metavar="TIME")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the status and the alert.", metavar="TEXT")] = "",
    node: NodeOption = None,
) -> int:
    """Stop applying on this controller for a time. Watching goes on.

    No newer revision is applied and no drift is healed. A change that waits for its
    confirmation is still taken back, and after a boot the revision in force is
    restored. `hagit apply` works as ever. The watchdog is not bound: see
    `hagit maintenance`.

    \b
    Example:  hagit suspend --for 2h --reason "new switch"
              hagit resume
    """
    duration_ms = parsed_ms(last, "--for")
    if len(reason) > REASON_LENGTH_MAX or not (reason.isprintable() or not reason):
        raise UsageError(f"--reason is a text of at most {REASON_LENGTH_MAX} printable characters")
    with Session(node) as session:
        now_s = wall_s()
        session.suspend(now_s, now_s + duration_ms / 1_000, reason)
        session.notify_agent()
    print(f"Suspended for {duration_text(duration_ms)}: nothing is applied here by itself. `hagit resume` ends it.")
    return 0


def resume(node: NodeOption = None) -> int:
    """End `hagit suspend`: the agent applies again.

    \b
    Example:  hagit resume
    """
    with Session(node) as session:
        was = session.resume_applying()
        session.notify_agent()
    print("The agent applies again." if was else "Nothing to do: applying is not suspended.")
    return 0
