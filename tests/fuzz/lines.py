"""Which lines of the decoders a corpus reaches: the corpus is given to its target once more, under a trace.

python -m tests.fuzz.lines CORPUS_ROOT      prints every module with its share and the lines that were not reached
"""

import dis
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from reconciler.core.failover import strict_json
from reconciler.core.failover.heartbeats import disk_record, wire
from reconciler.core.failover.orders import document as orders_document
from tests.fuzz.targets import TARGETS

MODULES = {Path(str(module.__file__)): module for module in (wire, disk_record, orders_document, strict_json)}


def inside(code: CodeType) -> Iterator[CodeType]:
    """A piece of code and all that is defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from inside(constant)


def lines_of(path: Path) -> set[int]:
    """The lines within functions that hold code."""
    functions = [code for code in inside(compile(path.read_text(), str(path), "exec")) if code.co_flags & 2]
    return {line for code in functions for _, line in dis.findlinestarts(code) if line and line > code.co_firstlineno}


def reached(root: Path) -> dict[Path, set[int]]:
    """The lines that ran while every target met its corpus."""
    found: dict[Path, set[int]] = {path: set() for path in MODULES}

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        lines = found.get(Path(frame.f_code.co_filename))
        if lines is None:
            return None

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            lines.add(frame.f_lineno)
            return line

        return line

    for name, target in TARGETS.items():
        inputs = [*target.seeds, *(path.read_bytes() for path in sorted((root / name / "corpus").iterdir()))]
        sys.settrace(trace)
        for data in inputs:
            target.test(data)
        sys.settrace(None)
    return found


def show(root: Path) -> None:
    """Print the share of each module."""
    for path, lines in reached(root).items():
        every = lines_of(path)
        missed = ", ".join(map(str, sorted(every - lines))) or "none"
        print(f"{path.name:20} {len(every & lines):4} of {len(every):4} lines; not reached: {missed}")


if __name__ == "__main__":
    show(Path(sys.argv[1]))
