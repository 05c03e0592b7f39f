"""What a mutant is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One seeded bug: `fragment` of `module` replaced; `careless` says who would do so and what data would suffer."""

    name: str
    module: str
    fragment: str
    replacement: str
    careless: str
