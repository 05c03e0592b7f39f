"""Figures of a run, as they are told: medians, how many, least and most; and how busy the host was meanwhile."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence

#: Of the names, in characters.
WIDTH = 24


def say(text: str) -> None:
    """A line that is there at once, in a pipe, too."""
    print(text, flush=True)


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


def host() -> str:
    """How busy the host is: what emulated machines do depends on it."""
    return f"load of the host {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors"
