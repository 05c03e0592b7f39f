"""Shell completion from a small file: what may come next after some words of a `hagit` command line.

A TAB must feel instant, so nothing of the application is imported: the tree of commands is a JSON file beside this
module, written from the application by `make schema`, and a test fails when it is stale.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Final

TREE: Final = os.path.join(os.path.dirname(__file__), "completion.json")  # noqa: PTH118, PTH120 - pathlib costs 10 ms

_BASH = """_hagit() {
  local IFS=$'\\n'
  COMPREPLY=($(hagit __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
  [ ${#COMPREPLY[@]} -eq 0 ] && compopt -o default
}
complete -F _hagit hagit
"""
_ZSH = """#compdef hagit
_hagit() {
  local -a answers
  answers=("${(@f)$(hagit __complete "${(@)words[2,$CURRENT]}" 2>/dev/null | sed 's/:/\\\\:/g; s/\\t/:/')}")
  if [[ -n "${answers[1]}" ]]; then _describe hagit answers; else _files; fi
}
compdef _hagit hagit
"""
_FISH = """function __hagit_answers
  hagit __complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null
end
complete -c hagit -a '(__hagit_answers)'
"""
SCRIPTS: Final = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def answer(words: Sequence[str]) -> list[str]:
    """What may stand in place of the last word, each `word<TAB>description`. No answer means: file names."""
    try:
        with open(TREE, encoding="utf-8") as file:  # noqa: PTH123
            tree: dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return []
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


def _matching(candidates: dict[str, str], current: str) -> list[str]:
    return [f"{word}\t{text}" if text else word for word, text in candidates.items() if word.startswith(current)]
