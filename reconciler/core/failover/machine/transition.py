"""A transition: the change of phase that the module of a phase asks for and `step` makes.

Makes no decisions.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.phase import Phase


@dataclass(frozen=True, slots=True)
class Move:
    """Go to `to` because of `code`. `automatic`: this controller moves by itself, so the move counts in its budget."""

    to: Phase
    code: Code
    evidence: str = ""
    automatic: bool = False
