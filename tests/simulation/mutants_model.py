"""What a mutant is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One seeded bug: `fragment` of `module` replaced; `careless` says who would do so and what data would suffer.

    `covered` names the layer that does the same work, if one does: then nothing happens in the field when this one is
    gone, and a test of one step is all that can see it. Any other mutant has to be caught by a story, the explorer or
    the swarm.
    """

    name: str
    module: str
    fragment: str
    replacement: str
    careless: str
    covered: str = ""
