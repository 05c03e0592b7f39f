"""Options that several commands share. Each has the same name and explanation in all of them."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from reconciler.core.facts.folder import FOLDER
from reconciler.errors import UsageError


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


def pair_folder_option(path: str) -> str:
    """The folder of the pair that `--path` names, empty for the whole repository. Raises UsageError for no folder."""
    if path and not re.fullmatch(FOLDER, path):
        raise UsageError(
            f"'{path}' is no folder of a repository",
            where="--path",
            remedy="write the path of one folder from the root of the repository: pairs/shelf1",
        )
    return path.removesuffix("/")
