"""An action that is refused holds itself and what rests on it; everything else is done, and it is tried again."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reconciler.agent.executor import ApplyOutcome, execute_plan
from reconciler.core.facts.change import ActionVerb
from reconciler.core.facts.fact import Address, Mtu
from reconciler.core.facts.state import Observed
from reconciler.core.planning.plan import Gate, HeldChange, Plan
from reconciler.core.planning.planner import make_plan
from reconciler.core.planning.retries import CHANGED_S_MIN, RETRY_S_MAX, RefusedActions
from reconciler.simulation.fake_network import FakeNetwork, Faults
from tests.agent.test_orders_file import NETWORK, POOL, orders, policy, with_watchdog
from tests.controller import Controller, controller_at, interface
from tests.core.planning.test_plan_properties import REVISION, observations
from tests.core.planning.worlds import desires
from tests.wait import until

STORAGE = interface("e0", "10.0.0.2/24")
TOP = interface("top", "10.4.0.1/24", nic="top0", mtu=9000)


def perform(plan: Plan, network: FakeNetwork) -> ApplyOutcome:
    with tempfile.TemporaryDirectory() as directory:
        return execute_plan(plan, network, Path(directory) / "journal")


def outcome_of(desired, observed, refused) -> tuple[ApplyOutcome, FakeNetwork]:
    plan = make_plan(desired, observed, REVISION)
    network = FakeNetwork(observed, Faults(refuse=dict.fromkeys(refused, "Device or resource busy")))
    return perform(plan, network), network


@settings(max_examples=settings.default.max_examples)
@given(desires(), observations(), st.data())
def test_whatever_is_refused_the_rest_is_done_and_the_next_try_ends_where_no_refusal_would(desired, observed, data):
    """Every action is done, refused, or waits for one that was; once nothing refuses, the state is the desired one."""
    keys = sorted({action.key for action in make_plan(desired, observed, REVISION).actions})
    assume(keys)
    refused = set(data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=3, unique=True)))
    outcome, network = outcome_of(desired, observed, refused)
    assert outcome.failure is None
    held = {hold.key: hold for hold in outcome.held}
    assert len(outcome.done) + len({(hold.key, hold.gate) for hold in outcome.held}) >= len(set(keys))
    assert {action.key for action in outcome.done} | set(held) >= set(keys)
    assert all(hold.why and hold.remedy for hold in outcome.held)
    network.faults = Faults()
    for _ in range(3):
        again = make_plan(desired, network.observe(), REVISION)
        perform(again, network)
    left = make_plan(desired, network.observe(), REVISION)
    assert left.actions == ()


@settings(max_examples=settings.default.max_examples)
@given(desires(), desires(), st.data())
def test_a_link_never_loses_its_last_address_to_a_refused_successor(desired, other, data):
    there = FakeNetwork(data.draw(observations()))
    perform(make_plan(other, there.observe(), REVISION), there)
    before = there.observe()
    plan = make_plan(desired, before, REVISION)
    coming = {action.key for action in plan.actions if action.key[0] == "address" and action.verb is ActionVerb.CREATE}
    assume(coming)
    outcome, _ = outcome_of(desired, before, coming)
    refused = [hold.key for hold in outcome.held if hold.gate is Gate.REFUSED and hold.key[0] == "address"]
    for key in coming & set(refused):
        waiting = [action for action in plan.actions if action.verb is ActionVerb.REMOVE and action.key[:2] == key[:2]]
        later = [action for action in waiting if plan.actions.index(action) > first_of(plan, key)]
        family = [action for action in later if (":" in action.key[2]) == (":" in key[2])]
        assert all(action not in outcome.done for action in family)


def first_of(plan, key) -> int:
    return next(index for index, action in enumerate(plan.actions) if action.key == key)


def hold(key, why="refused") -> HeldChange:
    return HeldChange(key, Gate.REFUSED, why, "wait")


def test_the_wait_before_a_retry_doubles_up_to_a_limit() -> None:
    actions, key, now_s = RefusedActions(), ("mtu", "e0"), 0.0
    waits = []
    for _ in range(12):
        actions.record({key}, [hold(key)], now_s)
        actions.observe(Observed())
        wait_s = actions.next_s(now_s)
        assert wait_s is not None and actions.due(Observed(), now_s + wait_s) == {key}
        assert actions.due(Observed(), now_s + wait_s - 0.01) == frozenset()
        waits.append(wait_s)
        now_s += wait_s
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == RETRY_S_MAX
    actions.record({key}, [], now_s)
    assert actions.keys == frozenset() and actions.next_s(now_s) is None


def test_a_retry_comes_sooner_after_a_change() -> None:
    actions, key = RefusedActions(), ("address", "e0", "fd00::1/64")
    for at_s in (0.0, 1.0, 3.0, 7.0):
        actions.record({key}, [hold(key)], at_s)
    met = Observed(facts={("mtu", "e0"): Mtu("e0", 1400)})
    actions.observe(met)
    changed = Observed(facts={("mtu", "e0"): Mtu("e0", 1500)})
    assert actions.due(met, 7.0 + CHANGED_S_MIN) == frozenset()
    assert actions.due(changed, 7.0 + CHANGED_S_MIN - 0.01) == frozenset()
    assert actions.due(changed, 7.0 + CHANGED_S_MIN) == {key}
    actions.retain({("mtu", "e0")})
    assert actions.keys == frozenset()


def test_what_only_the_kernel_knows_to_refuse_is_done_when_it_no_longer_does(controller: Controller) -> None:
    """A NIC on top of another takes no larger MTU than that one, which no limit of its own says."""
    controller.ip("link add link e0 name top0 type macvlan mode bridge")
    commit = controller.work.commit("Too large", net__yaml=interface("storage0", "10.0.0.1/24", nic="e1") + TOP)
    controller.start_agent()
    controller.until_applied(commit)
    until(lambda: [item["gate"] for item in controller.status().get("holds", ())] == ["refused"], controller.status)
    assert controller.addresses() == {"10.0.0.1/24", "10.4.0.1/24"}
    assert "MTU" in controller.until_alert("apply-failed")["summary"]
    assert "top0" in controller.hagit("status").out
    controller.ip("link set e0 mtu 9000")
    until(lambda: controller.mtu("top0") == 9000, controller.logs)
    controller.until_alert("apply-failed", "resolved")
    until(lambda: controller.status()["holds"] == [], controller.status)
    assert "live state matches" in controller.hagit("status").out
    assert not [alert for alert in controller.alerts() if alert[0] == "drift"]


def test_what_was_held_is_done_when_its_gate_opens(tmp_path: Path) -> None:
    """Drift is only told here. That a NIC comes after the commit is no drift of what the commit did."""
    with controller_at(tmp_path / "a", nics=1) as controller:
        text = STORAGE + interface("late0", "10.1.0.2/24", nic="e7", mtu=1400)
        commit = controller.work.commit("A NIC that is not there yet", net__yaml=text)
        controller.start_agent()
        controller.until_applied(commit)
        until(lambda: controller.status().get("holds"), controller.status)
        controller.agents[-1].stop()
        controller.start_agent()
        controller.ip("link add e7 type veth peer name e7-far", "link set e7-far up")
        until(lambda: controller.addresses("e7") == {"10.1.0.2/24"}, controller.logs)
        assert controller.mtu("e7") == 1400
        until(lambda: controller.status()["holds"] == [], controller.status)
        # From now on what leaves the desired state is drift, and only told.
        controller.ip("link set e7 mtu 1500")
        controller.until_alert("drift")
        assert controller.mtu("e7") == 1500


def test_orders_are_published_although_an_action_is_refused(controller: Controller) -> None:
    """Failover that is switched off has to reach the watchdog, whatever stands in the way of an MTU."""
    controller.ip("link add link e1 name top0 type macvlan mode bridge")
    controller.work.commit("Let it fail over", failover__yaml=NETWORK + POOL + policy())
    with_watchdog(controller).apply()
    text = NETWORK + TOP + POOL + policy(", enabled: false")
    controller.work.commit("No failover", failover__yaml=text)
    done = controller.hagit("apply", "--yes")
    assert done.code == 1, done
    assert "orders 3000 published; 1 held" in done.out
    assert "held (refused): the kernel refused to set the MTU of top0 to 9000" in done.err
    assert (orders(controller).generation, orders(controller).enabled) == (3_000, False)


def test_a_rollback_that_is_refused_in_part_is_in_force(controller: Controller) -> None:
    controller.ip("link add link e0 name top0 type macvlan mode bridge")
    first = controller.work.commit("Large", net__yaml=STORAGE + TOP)
    assert controller.hagit("apply", "--yes").code == 1
    controller.work.commit("Small", net__yaml=STORAGE + TOP.replace("9000", "1400"))
    controller.apply()
    done = controller.hagit("rollback", "--yes")
    assert done.code == 1, done
    assert controller.in_force() == first
    document = controller.hagit("apply", "--yes", "-o", "json").json()
    assert (document["complete"], [item["gate"] for item in document["held"]]) == (False, ["refused"])
    assert document["failure"]["what"] == document["held"][0]["why"]


def test_a_fact_that_does_not_stay_is_held_and_named() -> None:
    """Another program undoes at once what was done: the last look tells."""
    from tests.core.planning.worlds import bare, desired_of

    desired = desired_of([Address("eth0", "10.0.0.1/24")])
    plan = make_plan(desired, bare(), REVISION)
    network = Undone(bare())
    outcome = perform(plan, network)
    assert outcome.performed == 1 and not outcome.complete
    (told,) = outcome.held
    assert told.key == ("address", "eth0", "10.0.0.1/24")
    assert "every action was done, but" in told.why


class Undone(FakeNetwork):
    """A controller on which another program removes every address before the whole look."""

    def observe(self) -> Observed:
        for fact in list(super().observe().facts.values()):
            if isinstance(fact, Address):
                self.by_hand(fact, None)
        return super().observe()
