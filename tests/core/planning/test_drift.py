"""Drift: seen twice, said once, resolved once; storms, flaps, the unknown, and what a revision explains."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.facts.difference import Difference, DifferenceKind
from reconciler.core.facts.fact import Address, Link, LinkKind, Mark, Mtu, Power
from reconciler.core.facts.state import DriftMode, DriftPolicy, NicMatch, Unknown
from reconciler.core.planning.drift import NO_DRIFT, DriftLook, DriftRules, drift_step, see
from reconciler.core.planning.drift_state import DriftState, TransitionKind, ledger_document, ledger_from_document
from reconciler.core.planning.planner import make_plan
from reconciler.errors import StateError
from tests.core.planning.worlds import bare, desired_of, perform, with_foreign, without

WARN = DriftPolicy()
RULES = DriftRules(storm_max=3, storm_window_s=10, flap_max=3, flap_window_s=600, quiet_s=60)


def difference(number, kind=DifferenceKind.ADD):
    fact = Address("eth0", f"10.0.0.{number}/24")
    return Difference(fact.key, kind, fact, None, "missing", None, "Interface/storage0")


def steps(*looks, policy=WARN, rules=RULES, apart_s=1.0, back_at=None):
    """What is reported at each look; a look is a list of numbers or a Sight."""
    ledger, said = NO_DRIFT, []
    for number, look in enumerate(looks):
        sight = look if isinstance(look, DriftLook) else DriftLook(tuple(difference(item) for item in look))
        # Set back by thirty years.
        wrong_s = 1e9 if back_at is not None and number < back_at else 0
        ledger, transitions = drift_step(
            ledger, sight, now_s=number * apart_s + wrong_s, revision="main@1", policy=policy, rules=rules
        )
        said.append([(transition.kind.value, transition.count) for transition in transitions])
    return ledger, said


def test_one_look_is_suspicion_two_are_drift():
    ledger, said = steps([1])
    assert said == [[]]
    assert ledger.drifts[difference(1).key].state is DriftState.SUSPECTED
    ledger, said = steps([1], [1], [1], [])
    assert said == [[], [("firing", 1)], [], [("resolved", 1)]]
    assert not ledger.drifts


def test_what_is_seen_once_is_never_said():
    assert steps([1], [], [1], [])[1] == [[], [], [], []]


def test_since_when_is_the_first_look():
    ledger, _ = steps([1], [1], [1])
    assert ledger.firing()[0].since_s == 0


def test_many_at_once_are_one_alert_with_one_end():
    ledger, said = steps([1, 2, 3, 4], [1, 2, 3, 4], [1, 4], [4], [])
    assert said == [[], [("firing", 4)], [], [], [("resolved", 4)]]
    assert not ledger.storms


def test_many_within_the_window_are_a_storm_too():
    said = steps([1, 2], [1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5])[1]
    assert said == [[], [("firing", 1)] * 2, [("firing", 1)], [("firing", 2)]]


def test_a_difference_that_comes_and_goes_is_resolved_only_when_it_stays_away():
    on_off = [[1], [1], []] * 4
    _, said = steps(*on_off, *[[]] * 61)
    kinds = [kind for look in said for kind, _ in look]
    assert kinds == ["firing", "resolved"] * 3
    # The third time it fires it goes on until look 11, the last absence, is a minute ago.
    assert [number for number, look in enumerate(said) if ("resolved", 1) in look] == [2, 5, 71]


def test_a_clock_that_is_set_back_keeps_no_alert_for_years():
    on_off = [[1], [1], []] * 4
    # Quiet counts anew from the moment at which the clock was set.
    _, said = steps(*on_off, *[[]] * 80, back_at=20)
    assert [number for number, look in enumerate(said) if ("resolved", 1) in look] == [2, 5, 80]


def test_the_unknown_neither_fires_nor_resolves():
    blind = DriftLook((), unknown=(Unknown(("address",), "timed out"),))
    assert steps([1], [1], blind, [1], [])[1] == [[], [("firing", 1)], [], [], [("resolved", 1)]]
    assert steps([1], blind, [1])[1] == [[], [], [("firing", 1)]]


def test_ignored_drift_is_never_said_and_ends_when_it_becomes_ignored():
    ignore = DriftPolicy(resources={"Interface/storage0": DriftMode.IGNORE})
    assert steps([1], [1], [1], policy=ignore)[1] == [[], [], []]
    ledger, _ = steps([1], [1])
    ledger, said = drift_step(ledger, DriftLook((difference(1),)), now_s=9, revision="main@2", policy=ignore)
    assert [(item.kind, item.note) for item in said] == [(TransitionKind.RESOLVED, "ignored now")]


@pytest.mark.parametrize("explained", [True, frozenset({difference(1).key})])
def test_what_an_unapplied_revision_explains_is_no_drift(explained):
    ledger = NO_DRIFT
    for now_s in range(3):
        ledger, said = drift_step(
            ledger, DriftLook((difference(1),)), now_s=now_s, revision="main@1", policy=WARN, explained=explained
        )
        assert said == ()
    assert not ledger.drifts


def controller():
    facts = [
        Link("storage0", LinkKind.PHYSICAL), Mark("storage0", "hagit storage0"), Mtu("storage0", 1500),
        Power("storage0", up=True), Address("storage0", "10.0.0.1/24"),
        Link("v5", LinkKind.VLAN, parent="storage0", vlan_id=5), Mark("v5", "hagit v5"), Mtu("v5", 1500),
        Power("v5", up=True), Address("v5", "10.0.5.1/24"),
    ]  # fmt: skip
    desired = desired_of(facts, {"storage0": NicMatch(name="eth0")})
    return desired, perform(bare(), make_plan(desired, bare(), "main@1"))


def test_a_fresh_apply_shows_no_drift():
    assert see(*controller()).differences == ()


def test_a_deleted_link_is_one_drift_not_one_for_each_fact_on_it():
    desired, observed = controller()
    assert [item.key for item in see(desired, without(observed, observed.facts["link", "v5"])).differences] == [
        ("link", "v5")
    ]


def test_a_foreign_address_is_drift():
    desired, observed = controller()
    found = see(desired, with_foreign(observed, Address("eth0", "10.0.9.9/24"))).differences
    assert [(item.kind, item.resource) for item in found] == [(DifferenceKind.FOREIGN, "Interface/storage0")]


def test_a_pulled_nic_is_drift_and_leaves_the_rest_of_its_resource_undecided():
    desired, observed = controller()
    broken = without(observed, Address("eth0", "10.0.0.1/24"))
    ledger = NO_DRIFT
    for now_s in range(2):
        ledger, _ = drift_step(ledger, see(desired, broken), now_s=now_s, revision="main@1", policy=WARN)
    gone = without(broken, broken.facts["link", "eth0"])
    for now_s in range(2, 4):
        ledger, said = drift_step(ledger, see(desired, gone), now_s=now_s, revision="main@1", policy=WARN)
    assert [str(item) for item in said] == [
        "Interface/storage0: no NIC has name eth0; here are eth1 (02:00:00:00:00:01), eth2 (02:00:00:00:00:02), "
        "eth3 (02:00:00:00:00:03)"
    ]
    ledger, said = drift_step(ledger, see(desired, observed), now_s=5, revision="main@1", policy=WARN)
    assert sorted(item.kind for item in said) == [TransitionKind.RESOLVED] * 2


def test_a_drift_is_a_sentence():
    desired, observed = controller()
    sight = see(desired, perform_mtu(observed))
    ledger = NO_DRIFT
    for now_s in range(2):
        ledger, said = drift_step(ledger, sight, now_s=now_s, revision="main@1", policy=WARN)
    assert [str(item) for item in said] == ["Interface/storage0: mtu of eth0 is 9000, 1500 desired"]


def perform_mtu(observed):
    return replace(observed, facts={**observed.facts, ("mtu", "eth0"): Mtu("eth0", 9000)})


@pytest.mark.parametrize(
    ("drifts", "words"), [([{}], "damaged: `.+` is missing"), (7, "damaged: it does not have the shape")]
)
def test_a_damaged_ledger_says_so(drifts, words):
    with pytest.raises(StateError, match=words):
        ledger_from_document({"format": "hagit.drift/1", "drifts": drifts})


looks = st.lists(st.tuples(st.frozensets(st.integers(1, 6)), st.booleans(), st.integers(0, 90)), max_size=30)


@settings(max_examples=3 * settings.default.max_examples)
@given(looks)
def test_alerts_begin_and_end_by_turns_and_nothing_is_lost_over_a_restart(history):
    ledger, open_alerts, now_s = NO_DRIFT, {}, 0.0
    for present, blind, pause_s in history:
        now_s += pause_s
        sight = DriftLook(
            tuple(difference(item) for item in sorted(present)),
            unknown=(Unknown(("address",), "timed out"),) if blind else (),
        )
        ledger = ledger_from_document(json.loads(json.dumps(ledger_document(ledger))))
        ledger, said = drift_step(ledger, sight, now_s=now_s, revision="main@1", policy=WARN, rules=RULES)
        for item in said:
            if item.kind is TransitionKind.FIRING:
                assert item.alert not in open_alerts
                open_alerts[item.alert] = item.count
            else:
                assert open_alerts.pop(item.alert) == item.count
        assert {drift.alert for drift in ledger.firing()} == set(open_alerts)
        assert set(ledger.storms) <= set(open_alerts)
    for step in range(3):
        ledger, said = drift_step(
            ledger, DriftLook(()), now_s=now_s + 100 * step, revision="main@1", policy=WARN, rules=RULES
        )
        for item in said:
            assert item.kind is TransitionKind.RESOLVED
            del open_alerts[item.alert]
    assert not open_alerts and not ledger.drifts


def test_what_is_over_for_the_moment_is_told_as_past():
    """It came and went three times: its alert goes on firing for a while, and nothing says that it is there."""
    ledger, _ = steps(*[[1], [1], []] * 3)
    (drift,) = ledger.firing()
    assert drift.is_over and ledger.present() == ()
    assert str(drift) == "Interface/storage0: address 10.0.0.1/24 of eth0 was missing"
    again, _ = steps(*[[1], [1], []] * 3, [1], [1])
    assert [str(item) for item in again.present()] == ["Interface/storage0: address 10.0.0.1/24 of eth0 is missing"]
