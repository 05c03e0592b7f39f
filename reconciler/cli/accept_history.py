"""`hagit accept-history`: accepts a tip that the agent refuses: a replaced branch, or an untrusted signature."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from reconciler.agent.session import Session
from reconciler.cli.options import NodeOption, YesOption
from reconciler.cli.terminal import confirmed


def accept_history(
    commit: Annotated[
        str, typer.Argument(help="The commit that is the tip now, as the refusal named it.", metavar="COMMIT")
    ],
    node: NodeOption = None,
    yes: YesOption = False,
) -> int:
    """Accept a branch that was rewound or replaced, or a commit whose signature was refused, after looking at it.

    \b
    Example:  hagit accept-history 3f2c1ab
    """
    with Session(node) as session:
        if not yes and not confirmed(
            f"Accept {commit} as the tip, whatever came before it and whatever its signature?"
        ):
            asked = sys.stdin.isatty()
            print("Nothing was accepted." if asked else "Nothing was accepted: add --yes.", file=sys.stderr)
            return 1
        revision = session.accept_history(commit)
        session.notify_agent()
        print(f"Accepted {revision.name} ({revision.summary}, by {revision.author}).")
        return 0
