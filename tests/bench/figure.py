"""One figure of the benchmark: how long (or how much) something was, over how many runs, and beside what."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

HEADINGS: Final = ("", "median", "p50", "p99", "runs", "ratio", "aim", "")


@dataclass(frozen=True, slots=True)
class Figure:
    """Samples of one thing, in `unit`. `floor` is the median of what it is compared with, from the same run.

    `aim` is about the ratio where there is a floor, else about `judged` (p50 or p99), in `unit`; None sets none.
    """

    name: str
    samples: tuple[float, ...]
    unit: str = "ms"
    floor: float | None = None
    floor_name: str = ""
    aim: float | None = None
    judged: float = 0.5
    note: str = ""

    @property
    def median(self) -> float:
        """The middle of the samples."""
        return median(self.samples)

    @property
    def ratio(self) -> float | None:
        """The median beside that of the floor."""
        return None if self.floor is None else self.median / self.floor

    @property
    def met(self) -> bool | None:
        """Whether the aim is met, None where there is none."""
        if self.aim is None:
            return None
        value = self.ratio if self.ratio is not None else percentile(self.samples, self.judged)
        return value <= self.aim

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": round(self.median, 4),
            "p50": round(percentile(self.samples, 0.5), 4),
            "p99": round(percentile(self.samples, 0.99), 4),
            "runs": len(self.samples),
            "ratio": None if self.ratio is None else round(self.ratio, 4),
            "floor": self.floor_name,
            "aim": self.aim,
            "met": self.met,
            "note": self.note,
            "samples": [round(sample, 4) for sample in self.samples],
        }


@dataclass(frozen=True, slots=True)
class Group:
    """Figures that were measured together, with sentences about how."""

    title: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = field(default=())


def percentile(samples: Sequence[float], part: float) -> float:
    """The smallest sample that at least `part` of all samples do not exceed (nearest rank)."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def exponent(median_by_size: Mapping[int, float]) -> float:
    """How cost grows between the two largest sizes: 1 is in proportion, 2 with the square."""
    (small, low), (large, high) = sorted(median_by_size.items())[-2:]
    return math.log(high / low) / math.log(large / small)


def table(groups: Iterable[Group]) -> str:
    """All groups as aligned text."""
    rows: list[tuple[str, ...] | str] = []
    for group in groups:
        rows += ["", group.title, ("", *HEADINGS[1:]), *(_row(figure) for figure in group.figures)]
        rows += [f"  * {note}" for note in group.notes]
    filled = [row for row in rows if isinstance(row, tuple)]
    widths = [max(len(row[column]) for row in filled) for column in range(len(HEADINGS))]
    lines = []
    for row in rows:
        if isinstance(row, str):
            lines.append(row)
            continue
        aligned = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:7], widths[1:7], strict=True)),
        ]
        lines.append(("  " + "  ".join(aligned) + "  " + row[7]).rstrip())
    return "\n".join(lines).lstrip("\n")


def _row(figure: Figure) -> tuple[str, ...]:
    aim = ""
    if figure.aim is not None:
        limit = f"{figure.aim:g}x" if figure.ratio is not None else f"{figure.aim:g} {figure.unit}"
        which = "" if figure.ratio is not None or len(figure.samples) == 1 else f"p{figure.judged * 100:g} "
        aim = f"{'met' if figure.met else 'MISSED'}: {which}{limit}"
    beside = f"of {figure.floor_name}" if figure.floor is not None else ""
    shown = (figure.median, percentile(figure.samples, 0.5), percentile(figure.samples, 0.99))
    return (
        figure.name,
        *(f"{_short(value)} {figure.unit}" for value in shown),
        str(len(figure.samples)),
        "" if figure.ratio is None else f"{figure.ratio:.2f}x",
        aim,
        "; ".join(part for part in (beside, figure.note) if part),
    )


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
