"""The shape of an adapter for the network of one controller; the real one and the simulated one both have it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.state import Observed


class NetworkAdapter(Protocol):
    """Reads and changes links, addresses, routes, hostname and resolver of one controller."""

    def observe(self) -> Observed:
        """One look at everything. A part that cannot be read becomes an `Unknown`, never an absence.

        Raises ObservationError when nothing at all can be read.
        """
        ...

    def perform(self, before: Fact | None, after: Fact | None) -> None:
        """One change of one fact: create (`before` is None), remove (`after` is None) or change.

        Whatever is created is stamped as the agent's (`ownership`): a created link carries `mark_text` of its name
        at once. Removing an IPv4 address leaves the others of its subnet, virtual ones above all, in place
        (promote_secondaries). A port is taken down for the moment in which it joins a bond. Changing a port releases
        it first. Doing what is done already is no error. `core.facts.predict` says what else changes.
        Raises PerformError with the kernel's reason as a sentence.
        """
        ...

    def observe_keys(self, keys: Collection[Key]) -> Mapping[Key, Fact | None]:
        """A narrow look at a few keys, in time that does not grow with the number of links; None means absent.

        Raises ObservationError when one of them cannot be read.
        """
        ...
