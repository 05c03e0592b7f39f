"""Seeded bugs in the failover core: each one plausible, each one caught.

A mutant is one fragment of one source file and what a careless programmer would have written instead. It is applied
without touching the tree: a child interpreter (`mutants_child`) compiles the changed source under the module's own
name. Every mutant must be caught by a story, by the explorer, by the search of twins or by the swarm; only where
another layer does the same work, and the mutant says which, a test of one step will do. A mutant nobody catches shows
a hole in the checkers.
`MUTANTS.md` says what caught each; `test_mutants` keeps it true.
"""

from pathlib import Path

from tests.simulation.mutants_adopt import ADOPT
from tests.simulation.mutants_claim import CLAIM
from tests.simulation.mutants_complete import COMPLETE
from tests.simulation.mutants_decide import DECIDE
from tests.simulation.mutants_know import KNOW
from tests.simulation.mutants_model import Mutant
from tests.simulation.mutants_twins import TWINS

MUTANTS = (*ADOPT, *CLAIM, *COMPLETE, *KNOW, *DECIDE, *TWINS)
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
ROOT = Path(__file__).parents[2]
CORE = ROOT / "reconciler" / "core" / "failover"


def source_of(mutant: Mutant) -> Path:
    """The file of the mutant's module. Module names are unique in the failover core."""
    (path,) = CORE.rglob(f"{mutant.module}.py")
    return path


def mutated(mutant: Mutant) -> str:
    """The changed source. Fails loudly if the fragment is not there exactly once: the core has moved on."""
    source = source_of(mutant).read_text()
    found = source.count(mutant.fragment)
    assert found == 1, f"mutant {mutant.name}: its fragment occurs {found} times in {mutant.module}.py, not once"
    changed = source.replace(mutant.fragment, mutant.replacement)
    assert changed != source, f"mutant {mutant.name} changes nothing"
    return changed
