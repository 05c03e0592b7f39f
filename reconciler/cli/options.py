"""Options that several commands share, so that they are named and explained the same everywhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer


class Output(StrEnum):
    """The form of what is printed."""

    TEXT = "text"
    JSON = "json"


NodeOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--node", help="The node file of this controller. Without it $HAGIT_NODE, or else /etc/hagit/node.toml."
    ),
]
OutputOption: TypeAlias = Annotated[Output, typer.Option("--output", "-o", help="For people, or for programs.")]
RevisionOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--revision", "-r", help="A commit of the followed branch instead of the newest.", metavar="COMMIT"),
]
DirectoryOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--directory", "-C", help="Uncommitted files in a directory instead of a commit."),
]
YesOption: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
