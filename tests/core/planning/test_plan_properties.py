"""What holds of every plan: it converges, leaves alone what it does not manage, survives a cut, and rolls back."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reconciler.core.facts.change import ActionVerb
from reconciler.core.facts.difference import DifferenceKind, differences
from reconciler.core.facts.fact import Address, Route
from reconciler.core.facts.fact_kinds import kind_of
from reconciler.core.facts.ownership import Owner
from reconciler.core.planning.nic_match import bind
from reconciler.core.planning.plan import Gate
from reconciler.core.planning.plan_document import plan_document, plan_from_document
from reconciler.core.planning.planner import make_plan, stale
from tests.core.planning.worlds import bare, desires, perform, settled, with_foreign, without

REVISION = "main@" + "3f2c1ab" + "0" * 33


def grown(draw, *histories):
    """A controller on which each of these was applied in turn."""
    observed = bare()
    for desired in histories:
        observed = perform(observed, make_plan(desired, observed, REVISION))
    return observed


@st.composite
def observations(draw):
    """A live state with a history: an earlier configuration, things others made, things others broke."""
    observed = grown(draw, *draw(st.lists(desires(), max_size=2)))
    up = [key[1] for key, fact in observed.facts.items() if key[0] == "power" and fact.up]
    for number in draw(st.lists(st.integers(1, 3), unique=True, max_size=2)) if up else []:
        observed = with_foreign(observed, Address(draw(st.sampled_from(up)), f"192.168.{number}.1/24"))
    ours = sorted(key for key in observed.facts if key[0] in ("address", "route", "port"))
    for key in draw(st.lists(st.sampled_from(ours), unique=True, max_size=2)) if ours else []:
        if key in observed.facts:
            observed = without(observed, observed.facts[key])
    return observed


many = settings(max_examples=settings.default.max_examples * 3 // 2)


@many
@given(desires(), observations())
def test_it_converges_and_does_what_it_predicts(desired, observed):
    plan = make_plan(desired, observed, REVISION)
    after = perform(observed, plan)
    assert {key: after.facts[key] for key in plan.after} == dict(plan.after)
    again = make_plan(desired, after, REVISION)
    assert again.actions == ()
    held = {hold.key for hold in again.holds}
    bound = bind(desired, after)
    left = [
        item
        for item in differences(bound.desired, after, bound.spared)
        if item.kind is not DifferenceKind.FOREIGN and item.key not in held
    ]
    assert left == []


@many
@given(desires(), observations(), st.data())
def test_it_survives_a_cut_after_any_action(desired, observed, data):
    plan = make_plan(desired, observed, REVISION)
    assume(plan.actions)
    whole = perform(observed, plan)
    cut = perform(observed, plan, data.draw(st.integers(0, len(plan.actions) - 1)))
    resumed = perform(cut, make_plan(desired, cut, REVISION))
    assert settled(resumed) == settled(whole)


@many
@given(desires(), observations())
def test_it_leaves_alone_what_others_made(desired, observed):
    plan = make_plan(desired, observed, REVISION)
    for action in plan.actions:
        if action.verb is ActionVerb.REMOVE and isinstance(action.before, Address | Route):
            assert observed.owner(action.key) is Owner.AGENT
            assert action.key not in desired.facts
    after = perform(observed, plan)
    told = {fact.key for action in plan.actions for fact in action.consequences}
    touched = told | {action.key for action in plan.actions}
    gone = {key for key in observed.facts if key[0] in ("link", "address", "route", "port") and key not in after.facts}
    assert gone <= touched


@many
@given(desires(), desires(), observations())
def test_it_rolls_back(desired, other, observed):
    there = perform(observed, make_plan(desired, observed, REVISION))
    away = perform(there, make_plan(other, there, REVISION))
    back = perform(away, make_plan(desired, away, REVISION))
    assert make_plan(desired, back, REVISION).actions == ()
    # Whatever was as desired the first time is so again; what the rest is, only the holds know.
    held = {hold.key for look in (there, back) for hold in make_plan(desired, look, REVISION).holds}
    before, after = settled(there), settled(back)
    for key in bind(desired, there).desired.facts:
        if key not in held and key[0] != "mark":
            assert after.get(key) == before.get(key), key


@many
@given(desires(), observations())
def test_stages_rise_after_the_removals_and_documents_are_lossless(desired, observed):
    plan = make_plan(desired, observed, REVISION)
    for action in plan.actions:
        fact = action.after or action.before
        assert action.stage is kind_of(fact).stage
    coming = [action.stage for action in plan.actions if action.verb is not ActionVerb.REMOVE]
    assert coming == sorted(coming)
    assert plan_from_document(plan_document(plan)) == plan
    assert stale(plan, observed) == ()


@many
@given(desires(), observations())
def test_no_action_is_refused_by_a_gate_of_its_own_plan(desired, observed):
    plan = make_plan(desired, observed, REVISION)
    done = {action.key for action in plan.actions if action.verb is not ActionVerb.REMOVE}
    assert not done & {hold.key for hold in plan.holds if hold.gate is not Gate.FOREIGN}
