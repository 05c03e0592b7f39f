"""Every seeded bug is caught by the test in `MUTANTS.md`. HAGIT_MUTANTS=all searches anew; --rewrite-goldens writes."""

import os

import pytest

from tests.simulation.mutants import MUTANTS, mutated
from tests.simulation.mutants_child import main
from tests.simulation.mutants_model import Mutant
from tests.simulation.mutants_table import PAGE, Catch, child, everywhere, recorded, rendered, replay, search

EVERYTHING = os.environ.get("HAGIT_MUTANTS") == "all"

pytestmark = pytest.mark.timeout(6 * 3_600 if EVERYTHING else 3_600)


@pytest.fixture(scope="module")
def catches(request: pytest.FixtureRequest) -> dict[str, Catch | None]:
    """Return what catches each mutant now: the recorded catcher, or the one that a search finds."""
    rows, rewrite = recorded(), request.config.getoption("--rewrite-goldens")

    def look(name: str) -> Catch | None:
        again = replay(name, rows[name]) if name in rows and not EVERYTHING else None
        if again is None or (rewrite and not again.broke):
            return search(name) if rewrite or EVERYTHING else None
        return again

    return everywhere(look)


@pytest.fixture(scope="module")
def page(request: pytest.FixtureRequest, catches: dict[str, Catch | None]) -> str:
    """Return the expected page. Writes it if requested and if every mutant is caught."""
    caught = {name: catch for name, catch in catches.items() if catch is not None and catch.broke}
    text = rendered(caught)
    if request.config.getoption("--rewrite-goldens") and len(caught) == len(catches):
        PAGE.write_text(text)
    return text


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(mutant: Mutant, catches: dict[str, Catch | None], page: str) -> None:
    catch = catches[mutant.name]
    assert catch is not None, f"the table does not say what catches {mutant.name}: --rewrite-goldens searches"
    assert catch.broke, f"{catch.catcher} no longer catches {mutant.name}: {mutant.careless}"
    assert recorded().get(mutant.name) == catch


def test_the_page_is_what_was_found(page: str) -> None:
    assert PAGE.read_text() == page


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_only_what_another_layer_covers_is_left_to_a_test_of_one_step(mutant: Mutant) -> None:
    kind = recorded()[mutant.name].kind
    assert kind != "test" or mutant.covered, "no story, scene or seed catches it, and no other layer covers it"
    assert kind == "test" or not mutant.covered, f"it is said to be covered, but a {kind} sees it"


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 40
    assert len({mutated(mutant) for mutant in MUTANTS}) == len(MUTANTS)


def test_the_core_as_it_is_passes_every_recorded_catcher() -> None:
    tasks = sorted({catch.catcher for catch in recorded().values()})
    alarms = [catch for catch in child("-", tasks) if catch.broke]
    assert tasks
    assert not alarms, f"caught without a mutant: {alarms}"


def test_a_fragment_that_is_gone_fails_loudly() -> None:
    gone = Mutant("gone", "reservation_state", "no such words in it", "", "nothing")
    with pytest.raises(AssertionError, match=r"occurs 0 times in reservation_state\.py"):
        mutated(gone)
    with pytest.raises(AssertionError, match=r"occurs \d+ times"):
        mutated(Mutant("many", "reservation_state", "orders", "", "nothing"))


def test_a_mutant_is_not_seeded_into_a_core_that_is_loaded_already() -> None:
    import reconciler.core.failover.machine.step

    assert reconciler.core.failover.machine.step
    with pytest.raises(AssertionError, match="imported too early"):
        main(MUTANTS[0].name, [])
