"""Commands about differences: plan, apply, diff, drift, rollback, accept-history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import DirectoryOption, NodeOption, Output, OutputOption, RevisionOption, YesOption


def plan(
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
    revision: RevisionOption = None,
    directory: DirectoryOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Save the plan for `hagit apply FILE`.")] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="0 nothing to do, 1 error, 2 changes.")
    ] = False,
) -> int:
    """Show what would be done on this controller, why, with which impact, and who asks for it. Changes nothing.

    \b
    Example:  hagit plan
              hagit plan --out change.plan && hagit apply change.plan
    """
    from reconciler.cli.apply import run_plan

    return run_plan(
        node, output is Output.JSON, revision=revision, directory=directory, out=out, detailed=detailed_exitcode
    )


def apply(
    file: Annotated[Path | None, typer.Argument(help="A plan saved by `hagit plan --out`.", metavar="[FILE]")] = None,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
    revision: RevisionOption = None,
    directory: DirectoryOption = None,
    yes: YesOption = False,
) -> int:
    """Show the plan, ask, and do it: one action at a time, looking after each, stopping at a surprise.

    A saved plan is refused when what it was made from has moved. Cut off at any point, run it again: it ends at the
    same state.

    \b
    Example:  hagit apply
              hagit apply --yes change.plan
    """
    from reconciler.cli.apply import run_apply

    return run_apply(node, output is Output.JSON, file=file, revision=revision, directory=directory, yes=yes)


def diff(
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
    revision: RevisionOption = None,
    directory: DirectoryOption = None,
) -> int:
    """The differences between the newest revision and this controller, without a plan. Exit: 0 none, 1 some, 2 error.

    \b
    Example:  hagit diff
    """
    from reconciler.cli.apply import run_diff

    return run_diff(node, output is Output.JSON, revision=revision, directory=directory)


def drift(node: NodeOption = None, output: OutputOption = Output.TEXT) -> int:
    """What has left the revision in force by itself, not counting what a newer commit asks for.

    Exit: 0 none, 1 some, 2 error.

    \b
    Example:  hagit drift
    """
    from reconciler.cli.apply import run_drift

    return run_drift(node, output is Output.JSON)


def rollback(
    to: Annotated[
        str | None, typer.Argument(help="The commit to go back to; without it the one before.", metavar="[COMMIT]")
    ] = None,
    node: NodeOption = None,
    yes: YesOption = False,
) -> int:
    """Go back to a revision that was in force before. The newest commit is blocked until another one comes.

    A commit that was refused (its signature, or a replaced branch) is refused here, too.

    \b
    Example:  hagit rollback
              hagit rollback 3f2c1ab
    """
    from reconciler.cli.apply import run_rollback

    return run_rollback(node, to=to, yes=yes)


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
    from reconciler.cli.apply import run_accept_history

    return run_accept_history(node, commit, yes=yes)
