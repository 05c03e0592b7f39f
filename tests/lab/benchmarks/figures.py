"""Figures of a run, as they are asked for and told: medians, how many, least and most; and how busy the host was."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence

from tests.lab.image import Image, ImageError, image

#: Of the names, in characters.
WIDTH = 24


def say(text: str) -> None:
    """A line that is there at once, in a pipe, too."""
    print(text, flush=True)


def parser(doc: str | None, runs: int | None = None) -> argparse.ArgumentParser:
    """Of a module's command line; `--help` is its docstring. `runs`: how many there are unless it is said."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if runs is not None:
        made.add_argument("runs", type=count, nargs="?", default=runs)
    return made


def positive(text: str) -> float:
    """What can be asked for: more than nothing. For argparse."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value


def count(text: str) -> int:
    """The same of what is counted."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def built() -> Image:
    """What the machines boot; ends the program with a line where it cannot be built."""
    try:
        return image(progress=say, storage=True)
    except ImageError as error:
        sys.exit(f"lab: {error}")


def told(name: str, values: Sequence[float]) -> str:
    """Milliseconds, in one line."""
    return (
        f"{name:>{WIDTH}} {statistics.median(values):7.0f} ms, median of {len(values)} "
        f"({min(values):.0f} to {max(values):.0f})"
    )


def ratio(what: str, ours: Sequence[float], theirs: Sequence[float], aim: float | None = None) -> str:
    """How many times the second the first is, by their medians."""
    times = statistics.median(ours) / statistics.median(theirs)
    return f"{what:>{WIDTH}} {times:7.2f} x" + ("" if aim is None else f", aim {aim:g} x")


def columns(found: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """The values of each name, over all runs."""
    return {name: [one[name] for one in found] for name in found[0]}


def run(values: Mapping[str, float]) -> str:
    """One run, in one line."""
    return "  ".join(f"{name} {value:.0f} ms" for name, value in values.items())


def noted(values: dict[str, float], tell: Callable[[str], None]) -> dict[str, float]:
    """The same run again, once it is told."""
    tell(run(values))
    return values


def host() -> str:
    """How busy the host is: what emulated machines do depends on it."""
    return f"load of the host {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors"
