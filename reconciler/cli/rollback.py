"""`hagit rollback`: goes back to a revision that was in force before, and blocks the newest commit.

On an enrolled pair both controllers go back (`pair_rollback`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.agent.rollback import block_head, previous_revision, rollback_content
from reconciler.agent.session import Session
from reconciler.cli.apply import carry_out
from reconciler.cli.options import NodeOption, YesOption
from reconciler.cli.plan import make_plan, print_plan
from reconciler.cli.terminal import confirmed, print_not_done
from reconciler.errors import SourceError


def rollback(
    to: Annotated[
        str | None, typer.Argument(help="The commit to go back to; without it the one before.", metavar="[COMMIT]")
    ] = None,
    node: NodeOption = None,
    yes: YesOption = False,
    here: Annotated[
        bool, typer.Option("--here", help="Go back on this controller alone and at once, whatever the other one does.")
    ] = False,
) -> int:
    """Go back to a revision that was in force before. The newest commit is blocked until another one comes.

    On an enrolled pair both controllers go back by one plan: the standby first, then the active one, which stops at the
    first failure. A commit that was refused (its signature, or a replaced branch) is refused here, too.

    \b
    Example:  hagit rollback
              hagit rollback 3f2c1ab
    """
    with Session(node) as session:
        client = session.peer if not here else None
        session.resume_interrupted()
        applied = session.store.applied()
        if applied is None:
            raise SourceError("no revision was ever applied here", remedy="there is nothing to go back to")
        target = session.find_revision(to) if to else previous_revision(session, applied.revision)
        content = rollback_content(session, target)
        head = session.newest_state()
        what = f"{head[:7]} is blocked until another commit comes"
        if target.commit == head:
            what = "it is the newest commit as well, so nothing is blocked"
        words = f"Rolling back to {target.name} ({target.summary}); {what}."
        if client is not None and not content.desired.alone:
            from reconciler.cli.pair_rollback import rollback_pair

            return rollback_pair(session, client, target, content, words, yes=yes)
        plan = make_plan(session, target, content)
        print_plan(plan, as_json=False)
        print(f"\n{words}")
        if not yes and not confirmed("Go on?"):
            print_not_done("Nothing was rolled back")
            return 1
        return carry_out(session, plan, target, content, "rolled back", begin=lambda: block_head(session, head, target))
