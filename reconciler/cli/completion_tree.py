"""The tree of commands for shell completion, derived from the signatures of all commands.

`make schema` writes it to `completion.json`; a test compares the two.
"""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from typer.models import ArgumentInfo, OptionInfo

from reconciler.cli.application import COMMANDS, command_function


def completion_tree() -> dict[str, Any]:
    """`{command: {help, options: {name: {help, takes}}, words}}`; `takes` is None for a flag, else its known values."""
    return {name: _command(name, command_function(name)) for name, _, _ in COMMANDS}


def _command(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    words: list[str] = _fields() if name == "explain" else []
    for parameter, hint in typing.get_type_hints(function, include_extras=True).items():
        if parameter == "return":
            continue
        kind, info = typing.get_args(hint)
        values = _values(kind)
        if isinstance(info, ArgumentInfo):
            words += values
            continue
        assert isinstance(info, OptionInfo)
        # Inside Annotated, the first name stands where an option's default stands otherwise.
        named = [one for one in (info.default, *(info.param_decls or ())) if isinstance(one, str)]
        declared = named or [f"--{parameter.replace('_', '-')}"]
        takes = None if bool in (kind, *typing.get_args(kind)) else values
        for option in "/".join(declared).split("/"):
            options[option] = {"help": (info.help or "").split(".")[0], "takes": takes}
    text = inspect.getdoc(function) or ""
    return {"help": text.splitlines()[0], "options": options, "words": words}


def _values(kind: Any) -> list[str]:
    """The values of an option whose type is an enum, or an optional enum."""
    kinds = [one for one in (kind, *typing.get_args(kind)) if isinstance(one, type) and issubclass(one, StrEnum)]
    return [member.value for one in kinds for member in one]


def _fields() -> list[str]:
    """The arguments of `hagit explain`: kinds and their fields, dotted."""
    from reconciler.core.spec.explanation import known_paths

    return [*known_paths(), "node"]


if __name__ == "__main__":
    print(json.dumps(completion_tree(), indent=1))
