"""Shell completion from a small file: the words that may come next on a `hagit` command line.

A TAB must feel instant, so this module imports nothing of the application. `make schema` writes the tree of commands to
a JSON file beside this module (`completion_tree`); a test fails when the file is stale.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Final

TREE: Final = os.path.join(os.path.dirname(__file__), "completion.json")  # noqa: PTH118, PTH120 - pathlib costs 10 ms


def summaries() -> dict[str, str]:
    """What each command does, in a line; empty when the file cannot be read."""
    return {name: command["help"] for name, command in _tree().items()}


def completions(words: Sequence[str]) -> list[str]:
    """Candidates for the last of `words`, each `word<TAB>description`. An empty list means: complete file names."""
    tree = _tree()
    done, current = list(words[:-1]), words[-1] if words else ""
    if done[:1] == ["--node"]:
        done = done[2:]
    if not done:
        candidates = {name: entry["help"] for name, entry in tree.items()}
        if current.startswith("-"):
            candidates = {"--node": "the node file of this controller", "--version": "", "--help": ""}
        return _matching(candidates, current)
    command = tree.get(done[0])
    if command is None:
        return []
    options: dict[str, Any] = command["options"]
    before = options.get(done[-1]) if len(done) > 1 else None
    if before is not None and before["takes"] is not None:
        return _matching(dict.fromkeys(before["takes"], ""), current)
    if current.startswith("-"):
        return _matching({name: option["help"] for name, option in options.items() if len(name) > 2}, current)
    return _matching(dict.fromkeys(command["words"], ""), current)


def _tree() -> dict[str, Any]:
    """See `completion_tree`; empty when the file cannot be read."""
    try:
        with open(TREE, encoding="utf-8") as file:  # noqa: PTH123
            tree: dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return {}
    return tree


def _matching(candidates: dict[str, str], current: str) -> list[str]:
    return [f"{word}\t{text}" if text else word for word, text in candidates.items() if word.startswith(current)]
