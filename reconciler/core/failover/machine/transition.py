"""A change of phase that a phase's own module asks for; `step` makes it.

Decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.phase import Phase


@dataclass(frozen=True, slots=True)
class Move:
    """Go to `to` because of `code`. `automatic`: begun by this controller alone, and so counted in its budget."""

    to: Phase
    code: Code
    evidence: str = ""
    automatic: bool = False
