"""`hagit completion`: the script that makes a shell complete `hagit` command lines.

Each script calls `hagit __complete`, which `completion` answers.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import typer

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


class Shell(StrEnum):
    """A shell that can be completed."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="The shell to complete.")]) -> int:
    """The completion script of a shell.

    \b
    Example:  source <(hagit completion bash)
    """
    print(SCRIPTS[shell.value], end="")
    return 0
