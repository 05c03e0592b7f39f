"""The shape of an adapter for the network of one controller; the real one and the simulated one both have it."""

from __future__ import annotations

from typing import Protocol

from reconciler.core.facts.fact import Fact
from reconciler.core.facts.state import Observed


class Network(Protocol):
    """Reads and changes links, addresses, routes, hostname and resolver of one controller."""

    def observe(self) -> Observed:
        """One look at everything. A part that cannot be read becomes an `Unknown`, never an absence.

        Raises ObservationError when nothing at all can be read.
        """
        ...

    def perform(self, before: Fact | None, after: Fact | None) -> None:
        """One change of one fact: create (`before` is None), remove (`after` is None) or change.

        Whatever is created is stamped as the agent's (`ownership`). Doing what is done already is no error.
        Raises PerformError with the kernel's reason as a sentence.
        """
        ...
