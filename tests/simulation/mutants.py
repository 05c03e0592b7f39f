"""Seeded bugs in the failover core: each one plausible, each one caught.

A mutant replaces one fragment of one source file by what a careless programmer would have written. The tree stays
untouched: a child interpreter (`mutants_child`) compiles the changed source under the module's own name. A story, the
explorer, the search of twins or the swarm must catch every mutant. A test of one step may catch it instead only if
another layer does the same work, and the mutant names that layer. A mutant that no test catches shows a hole in the
checkers.
`MUTANTS.md` says what caught each mutant; `test_mutants` keeps it true.
"""

from pathlib import Path

from tests.simulation.mutants_adopt import ADOPT
from tests.simulation.mutants_claim import CLAIM
from tests.simulation.mutants_complete import COMPLETE
from tests.simulation.mutants_decide import DECIDE
from tests.simulation.mutants_know import KNOW
from tests.simulation.mutants_model import Mutant
from tests.simulation.mutants_shares import SHARES
from tests.simulation.mutants_twins import TWINS

MUTANTS = (*ADOPT, *CLAIM, *COMPLETE, *KNOW, *DECIDE, *SHARES, *TWINS)
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
ROOT = Path(__file__).parents[2]
CORE = ROOT / "reconciler" / "core" / "failover"


def source_of(mutant: Mutant) -> Path:
    """Return the file of the mutant's module. Module names are unique in the failover core."""
    (path,) = CORE.rglob(f"{mutant.module}.py")
    return path


def mutated(mutant: Mutant) -> str:
    """Return the changed source. Fails if the fragment does not occur exactly once: the core has changed."""
    source = source_of(mutant).read_text()
    found = source.count(mutant.fragment)
    assert found == 1, f"mutant {mutant.name}: its fragment occurs {found} times in {mutant.module}.py, not once"
    changed = source.replace(mutant.fragment, mutant.replacement)
    assert changed != source, f"mutant {mutant.name} changes nothing"
    return changed
