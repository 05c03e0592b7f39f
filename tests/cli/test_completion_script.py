"""The completion scripts, in real shells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from reconciler.cli.application import COMMANDS
from reconciler.cli.completion_script import SCRIPTS
from tests.cli.screen import script
from tests.controller import ROOT, Controller, interface

STORAGE = interface("storage0", "10.0.0.1/24", nic="e0")
NAMES = [name for name, *_ in COMMANDS]


def test_a_shell_completes(controller: Controller, tmp_path: Path) -> None:
    """The script in a real bash, with the real command in its path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script(folder / "hagit", f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m reconciler.cli.entry "$@"\n')
    program = (
        f"PATH={folder}:$PATH; source <(hagit completion bash); "
        'try() { COMP_WORDS=(hagit "$@"); COMP_CWORD=$#; COMPREPLY=(); _hagit 2>/dev/null; echo "${COMPREPLY[*]}"; }; '
        "try pl; try plan --det; try plan -o ''; try completion z; try explain interface.mt; try apply x"
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == ["plan", "--detailed-exitcode", "text json", "zsh", "interface.mtu", ""], (
        done.stderr
    )
    for shell, text in SCRIPTS.items():
        assert controller.hagit("completion", shell).out == text
        if subprocess.run(["which", shell], capture_output=True, check=False).returncode == 0:
            subprocess.run([shell, "-n"], input=text, text=True, check=True)
