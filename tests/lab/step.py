"""One step of building an image: a program that runs to its end, or fails with one clear message.

Knows neither kernels nor ZFS.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

#: Longest wait for one step, and for another process that builds the same.
STEP_S = 180
#: Advice if apt does not know or find a package.
LISTS = "; run `apt-get update` as root"

Progress = Callable[[str], None]


class ImageError(Exception):
    """The image cannot be built here; the message says which step failed and what to do."""


def run(arguments: list[str], directory: Path, advice: str = "", timeout_s: float = STEP_S) -> str:
    """Run a program and return its output. Raises ImageError with the end of its error output and the advice."""
    try:
        done = subprocess.run(
            arguments, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s
        )
    except FileNotFoundError:
        raise ImageError(f"{arguments[0]} is missing: run packaging/prerequisites lab") from None
    except subprocess.TimeoutExpired:
        raise ImageError(f"`{' '.join(arguments)}` was still running after {timeout_s:g} s") from None
    if done.returncode != 0:
        complaint = (done.stderr or done.stdout).strip()[-2_000:]
        raise ImageError(f"`{' '.join(arguments)}` failed: {complaint}{advice}")
    return done.stdout
