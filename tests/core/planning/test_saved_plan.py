"""A saved plan: read back whole, refused when damaged, and told what has moved since."""

from dataclasses import replace

import pytest

from reconciler.core.facts.fact import Address, Link, LinkKind, Mtu, Power
from reconciler.core.facts.state import NicMatch, Unknown
from reconciler.core.planning.plan import Blame
from reconciler.core.planning.plan_document import plan_document, plan_from_document
from reconciler.core.planning.planner import blamed, make_plan, stale
from reconciler.errors import UsageError
from tests.core.planning.worlds import bare, desired_of, perform, without

DESIRED = desired_of(
    [Link("p0", LinkKind.PHYSICAL), Mtu("p0", 9000), Power("p0", up=True), Address("p0", "10.0.0.1/24")],
    {"p0": NicMatch(name="eth0")},
)


def with_fact(observed, fact):
    return replace(observed, facts={**observed.facts, fact.key: fact})


def test_what_moved_is_named():
    plan = make_plan(DESIRED, bare(), "main@1")
    assert stale(plan, bare()) == ()
    assert stale(plan, with_fact(bare(), Mtu("eth0", 1400))) == ("mtu of eth0 has changed: mtu 1500, 1400 now",)
    assert stale(plan, with_fact(bare(), Address("eth0", "10.0.0.1/24"))) == (
        "address 10.0.0.1/24 of eth0 has appeared",
    )
    gone = stale(plan, without(bare(), bare().facts["link", "eth0"]))
    assert gone == ("link eth0 is gone", "mtu of eth0 is gone", "power of eth0 is gone")


def test_what_is_none_of_the_plans_business_does_not_make_it_stale():
    plan = make_plan(DESIRED, bare(), "main@1")
    assert stale(plan, with_fact(bare(), Mtu("eth1", 9000))) == ()


def test_what_cannot_be_read_any_more_has_moved():
    plan = make_plan(DESIRED, bare(), "main@1")
    facts = {key: fact for key, fact in bare().facts.items() if key[0] != "mtu"}
    blind = replace(bare(), facts=facts, unknown=(Unknown(("mtu",), "timed out"),))
    assert stale(plan, blind) == ("mtu of eth0 cannot be read now: timed out",)


def test_the_digest_follows_the_base():
    plan = make_plan(DESIRED, bare(), "main@1")
    assert make_plan(DESIRED, with_fact(bare(), Mtu("eth1", 9000)), "main@1").base == plan.base
    assert make_plan(DESIRED, with_fact(bare(), Mtu("eth0", 1400)), "main@1").base != plan.base
    assert make_plan(DESIRED, perform(bare(), plan), "main@1").base != plan.base


def test_blame_is_asked_once_for_each_place_and_saved():
    asked = []

    def blame_of(origin):
        asked.append(origin)
        return Blame("3f2c1ab", "A. Author", "", "Jumbo") if origin.line == 2 else None

    plan = blamed(make_plan(DESIRED, bare(), "main@1"), blame_of)
    assert len(asked) == len(set(asked)) == 3
    assert [action.blame is not None for action in plan.actions] == [True, False, False]
    assert plan_from_document(plan_document(plan)) == plan


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: [],
        lambda document: {**document, "format": "hagit.plan/2"},
        lambda document: {**document, "actions": [{}]},
        lambda document: {**document, "before": [{"fact": "moon"}]},
        lambda document: {**document, "base": {"controller": "a"}},
        lambda document: {key: value for key, value in document.items() if key != "holds"},
    ],
)
def test_what_is_no_plan_is_refused_with_what_to_do(damage):
    with pytest.raises(UsageError, match="saved plan") as caught:
        plan_from_document(damage(plan_document(make_plan(DESIRED, bare(), "main@1"))))
    assert "plan again" in str(caught.value)
