"""What holds of every plan for pools and datasets: it converges, destroys nothing by omission, and goes back."""

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reconciler.agent.apply import changed_in_place, restored_content
from reconciler.agent.source.content import Content
from reconciler.core.facts.change import ActionVerb, Impact
from reconciler.core.facts.settings import PairNames, Settings
from reconciler.core.facts.state import Desired, Placement
from reconciler.core.facts.storage import Dataset, Property
from reconciler.core.planning.drift import see
from reconciler.core.planning.plan_document import plan_document, plan_from_document
from reconciler.core.planning.planner import make_plan, stale
from tests.core.planning.shelves import NAMES, VALUES, bare, by_hand, desires, filled
from tests.core.planning.worlds import perform

REVISION = "main@" + "3f2c1ab" + "0" * 33
many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def observations(draw):
    """Pools with a history: an earlier configuration, and what people did by hand."""
    observed = bare(*draw(st.sampled_from(((), ("tank",), ("tank", "fast")))))
    for desired in draw(st.lists(desires(), max_size=2)):
        observed = filled(perform(observed, make_plan(desired, observed, REVISION)))
    there = sorted(fact.name for fact in observed.facts.values() if isinstance(fact, Dataset))
    for name in draw(st.lists(st.sampled_from(there), unique=True, max_size=2)) if there else []:
        prop = draw(st.sampled_from(sorted(VALUES)))
        observed = by_hand(observed, Property(name, prop, draw(st.sampled_from(VALUES[prop]))))
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=2)):
        if ("dataset", name.partition("/")[0], name.rpartition("/")[0]) in observed.facts:
            observed = by_hand(observed, Dataset(name))
    return observed


@many
@given(desires(), observations())
def test_it_converges_and_does_what_it_predicts(desired, observed):
    plan = make_plan(desired, observed, REVISION)
    after = perform(observed, plan)
    assert {key: after.facts[key] for key in plan.after} == dict(plan.after)
    again = make_plan(desired, after, REVISION)
    assert again.actions == ()
    held = {hold.key for hold in again.holds}
    waiting = {key[2] for key in held if key[0] == "dataset"}
    for item in see(desired, after).differences:
        assert item.key in held or item.key[2] in waiting, item
    assert plan_from_document(plan_document(plan)) == plan
    assert stale(plan, observed) == ()


@many
@given(desires(), observations())
def test_nothing_is_destroyed_but_what_is_asked_for_and_not_protected_and_that_comes_last(desired, observed):
    plan = make_plan(desired, observed, REVISION)
    removing = [action for action in plan.actions if action.verb is ActionVerb.REMOVE]
    for action in removing:
        assert desired.destroy[action.key] is False
        assert action.impact is Impact.DATA
    assert plan.actions[len(plan.actions) - len(removing) :] == tuple(removing)
    after = perform(observed, plan)
    gone = {key for key in observed.facts if key[0] in ("pool", "dataset")} - set(after.facts)
    assert gone == {action.key for action in removing}


@many
@given(desires(), observations(), st.data())
def test_it_survives_a_cut_after_any_action(desired, observed, data):
    plan = make_plan(desired, observed, REVISION)
    assume(plan.actions)
    whole = perform(observed, plan)
    cut = perform(observed, plan, data.draw(st.integers(0, len(plan.actions) - 1)))
    assert perform(cut, make_plan(desired, cut, REVISION)).facts == whole.facts


@many
@given(desires(), observations())
def test_properties_go_back_to_what_they_were(desired, observed):
    plan = make_plan(desired, observed, REVISION)
    there = filled(perform(observed, plan))
    before = Content(Desired("a"), Settings(PairNames("pair", {"a": "shelf-a"})))
    back_to = restored_content(before, [{"was": changed_in_place(plan.actions, plan)}])
    back = perform(there, make_plan(back_to.desired, there, REVISION))
    for action in plan.actions:
        if action.verb is ActionVerb.CHANGE:
            assert back.facts[action.key] == observed.facts[action.key]


@many
@given(desires(), observations())
def test_a_standby_neither_does_nor_says_anything(desired, observed):
    plan = make_plan(desired, type(observed)(placement=Placement.STANDBY), REVISION)
    assert plan.actions == () and plan.holds == () and len(plan.notes) == 1
    assert see(desired, type(observed)(placement=Placement.STANDBY)).differences == ()
