"""A change of phase that a phase's own module asks for; `step` makes it.

Decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.failover.phase import Phase
from reconciler.core.failover.why import Code


@dataclass(frozen=True, slots=True)
class Move:
    """Go to `to` because of `code`. `automatic`: begun by this controller alone, and so counted in its budget."""

    to: Phase
    code: Code
    evidence: str = ""
    automatic: bool = False
