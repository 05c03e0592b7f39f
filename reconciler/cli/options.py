"""Options that several commands share. Each has the same name and explanation in all of them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer


class Output(StrEnum):
    """Form of the output."""

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
TimeoutOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--timeout", help="How long to wait until it is done: 30s, 2m. Else the bound.", metavar="TIME"),
]
YesOption: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
