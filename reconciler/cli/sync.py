"""`hagit sync`: compares the repositories that the two controllers host, and takes the peer's where a person says so.

Nothing has to be typed as long as one history continues the other: the agents bring both to the later commit.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from reconciler.agent.session import Session
from reconciler.cli.options import NodeOption, YesOption
from reconciler.cli.terminal import confirmed


def sync(
    from_peer: Annotated[
        bool, typer.Option("--from-peer", help="Replace the history of this controller by the peer's.")
    ] = False,
    node: NodeOption = None,
    yes: YesOption = False,
) -> int:
    """Compare the hosted repositories of the two controllers; with --from-peer take the peer's history here.

    For histories of which neither continues the other. Shows the commits that this controller would no longer follow,
    and asks. They stay in the repository as refs/hagit/kept. To keep this controller's history instead, run it on the
    other one.

    \b
    Example:  hagit sync
              hagit sync --from-peer
    """
    with Session(node) as session:
        repositories = session.pair_repositories
        found = repositories.compare(session)
        print(f"Here      {found.here or 'nothing'}\nThe peer  {found.there or 'nothing'}")
        for title, commits in (("Only here", found.only_here), ("Only there", found.only_there)):
            print("".join(f"{title}: {line}\n" for line in commits), end="")
        if found.here == found.there:
            print("Both controllers have the same commits.")
            return 0
        if not from_peer:
            print("The agents bring both to the later one." if found.forward else "Neither continues the other.")
            return 0
        if not found.only_here:
            print("Nothing would be lost here: the agent follows the peer by itself.")
            return 0
        question = f"Follow {found.there} here from now on, and no longer the {len(found.only_here)} commits above?"
        if not yes and not confirmed(question):
            print("Nothing was changed." if sys.stdin.isatty() else "Nothing was changed: add --yes.", file=sys.stderr)
            return 1
        repositories.take_from_peer(session, found)
        revision = session.accept_history(found.there)
        session.notify_agent()
        print(f"This controller follows {revision.name} ({revision.summary}, by {revision.author}).")
        return 0
