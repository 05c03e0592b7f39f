"""One seeded bug, as data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One seeded bug: `replacement` for `fragment` of `module`.

    `careless` says who would write it and which data would suffer. `covered` names the layer that does the same work,
    if there is one: then the bug has no effect in the field, and only a test of one step can see it. A story, the
    explorer or the swarm must catch any other mutant.
    """

    name: str
    module: str
    fragment: str
    replacement: str
    careless: str
    covered: str = ""
