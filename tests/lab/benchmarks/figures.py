"""Figures of a run, from command line to output: medians, number, least and most; and how busy the host was."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence

from tests.lab.image import Image, ImageError, image

#: Width of the names, in characters.
WIDTH = 24


def say(text: str) -> None:
    """Print a line and flush it, so that a pipe gets it at once."""
    print(text, flush=True)


def parser(doc: str | None, runs: int | None = None) -> argparse.ArgumentParser:
    """Return a parser for a module's command line; `--help` prints its docstring. `runs`: default number of runs."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if runs is not None:
        made.add_argument("runs", type=count, nargs="?", default=runs)
    return made


def positive(text: str) -> float:
    """Parse a number greater than 0, for argparse."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value


def count(text: str) -> int:
    """Parse a whole number greater than 0, for argparse."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def built() -> Image:
    """Return the image that the machines boot. If it cannot be built, ends the program with one line."""
    try:
        return image(progress=say, storage=True)
    except ImageError as error:
        sys.exit(f"lab: {error}")


def told(name: str, values: Sequence[float]) -> str:
    """Return milliseconds, in one line."""
    return (
        f"{name:>{WIDTH}} {statistics.median(values):7.0f} ms, median of {len(values)} "
        f"({min(values):.0f} to {max(values):.0f})"
    )


def ratio(what: str, ours: Sequence[float], theirs: Sequence[float], aim: float | None = None) -> str:
    """Return the ratio of the two medians, `ours` to `theirs`, in one line."""
    times = statistics.median(ours) / statistics.median(theirs)
    return f"{what:>{WIDTH}} {times:7.2f} x" + ("" if aim is None else f", aim {aim:g} x")


def columns(found: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return the values of each name, over all runs."""
    return {name: [one[name] for one in found] for name in found[0]}


def run(values: Mapping[str, float]) -> str:
    """Return one run, in one line."""
    return "  ".join(f"{name} {value:.0f} ms" for name, value in values.items())


def noted(values: dict[str, float], tell: Callable[[str], None]) -> dict[str, float]:
    """Print one run and return it."""
    tell(run(values))
    return values


def host() -> str:
    """Return how busy the host is: the speed of emulated machines depends on it."""
    return f"load of the host {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors"
