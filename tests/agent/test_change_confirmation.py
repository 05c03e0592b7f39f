"""A change that cuts the controller off comes back by itself; one that does not is kept. Real kernel, real agent."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.agent.far_end import FarEnd
from tests.agent.test_drift import alerting
from tests.controller import PAIR, Controller, interface
from tests.wait import until

GATEWAY = "10.0.0.9"
PAIR_2S = PAIR + f"  gateway: {GATEWAY}\n  changes: {{timeout: 2s}}\n"
NO_GATEWAY = PAIR_2S.replace(f"  gateway: {GATEWAY}\n", "")
GOOD = interface("e0", "10.0.0.1/24")


@pytest.fixture
def far(controller: Controller) -> Iterator[FarEnd]:
    made = FarEnd(controller, e0=f"{GATEWAY}/24")
    yield made
    made.close()


def commit(controller: Controller, pair: str, net: str) -> str:
    return controller.work.commit("Network", pair__yaml=pair, net__yaml=net)


def change_of(controller: Controller) -> dict[str, object]:
    path = controller.state / "change.json"
    return json.loads(path.read_bytes()) if path.exists() else {}


def history(controller: Controller) -> list[tuple[str, str]]:
    return [(line["what"], line["revision"]["commit"]) for line in controller.lines("history.jsonl")]


def until_stage(controller: Controller, stage: str) -> dict[str, object]:
    until(
        lambda: change_of(controller).get("stage") == stage,
        lambda: (change_of(controller), controller.logs(), controller.lines("decisions.jsonl")),
    )
    return change_of(controller)


def revision_of(controller: Controller) -> str:
    """The commit of the newest guarded change."""
    revision = change_of(controller).get("revision", {})
    assert isinstance(revision, dict)
    return str(revision.get("commit", ""))


def seen(controller: Controller) -> tuple[object, ...]:
    """What a change may touch here."""
    return (
        controller.show("-4", "route"),
        controller.addresses(),
        controller.mtu("e0"),
        controller.show("link", "show")[-1]["ifname"],
    )


def gateway_answers(controller: Controller) -> bool:
    return "1 received" in controller.machine.run("ping", "-c1", "-W1", GATEWAY, check=False)


CUTS = {
    "all networks": (NO_GATEWAY, interface("e1", "10.1.0.1/24")),
    "the gateway": (NO_GATEWAY, GOOD),
    "another network": (PAIR_2S.replace(GATEWAY, "10.5.0.9"), interface("e0", "10.5.0.1/24")),
    "an MTU that the path does not carry": (PAIR_2S, interface("e0", "10.0.0.1/24", mtu=4000)),
    "a bridge": (
        PAIR_2S,
        interface("e0") + interface("e1") + interface("br0", "10.0.0.1/24", extra="bridge: {members: [e1]}"),
    ),
    "a VLAN that the switch does not carry": (
        PAIR_2S,
        interface("e0") + interface("v7", "10.0.0.1/24", extra="vlan: {parent: e0, id: 7}"),
    ),
}


def test_a_change_that_cuts_off_comes_back_by_itself(controller: Controller, far: FarEnd) -> None:
    good = commit(controller, PAIR_2S, GOOD)
    controller.start_agent()
    controller.until_applied(good)
    until(lambda: gateway_answers(controller))
    before = seen(controller)
    for cut, (pair, net) in CUTS.items():
        bad = commit(controller, pair, net)
        until(lambda bad=bad: revision_of(controller) == bad, lambda cut=cut: (cut, controller.logs()))
        change = until_stage(controller, "reverted")
        assert "gateway" in str(change["why"]), (cut, change)
        assert seen(controller) == before, cut
        assert gateway_answers(controller), cut
        assert history(controller)[-2:] == [("applied", bad), ("reverted", good)], cut
        assert controller.in_force() == good
    controller.until_alert("change-reverted")
    status = until(lambda: [line for line in controller.hagit("status").out.splitlines() if "  taken back" in line])
    assert bad[:7] in status[0]


def test_what_answers_afterwards_is_kept_without_a_person(controller: Controller, far: FarEnd) -> None:
    good = commit(controller, PAIR_2S, GOOD)
    controller.start_agent()
    controller.until_applied(good)
    until(lambda: gateway_answers(controller))
    better = commit(controller, PAIR_2S, interface("e0", "10.0.0.2/24"))
    change = until_stage(controller, "kept")
    assert change["revision"]["commit"] == better
    assert controller.addresses("e0") == {"10.0.0.2/24"}
    controller.until_alert("change-pending", "resolved")
    assert history(controller)[-1] == ("confirmed", better)
    assert controller.in_force() == better


def test_a_reverted_revision_waits_for_a_new_one(controller: Controller, far: FarEnd) -> None:
    good = commit(controller, PAIR_2S, GOOD)
    controller.start_agent()
    controller.until_applied(good)
    until(lambda: gateway_answers(controller))
    commit(controller, *CUTS["all networks"])
    until_stage(controller, "reverted")
    controller.until_alert("change-reverted")
    mended = commit(controller, PAIR_2S, GOOD + interface("e1", "10.1.0.1/24"))
    controller.until_applied(mended)
    controller.until_alert("change-reverted", "resolved")
    assert controller.addresses() == {"10.0.0.1/24", "10.1.0.1/24"}


def test_a_person_keeps_what_no_probe_would(controller: Controller, far: FarEnd) -> None:
    good = commit(controller, PAIR_2S.replace("2s", "1m"), GOOD)
    controller.start_agent()
    controller.until_applied(good)
    until(lambda: gateway_answers(controller))
    moved = commit(controller, *CUTS["another network"])
    until_stage(controller, "pending")
    done = controller.hagit("confirm")
    assert done.code == 0, done
    assert "it stays" in done.out
    assert change_of(controller)["stage"] == "kept"
    assert controller.in_force() == moved
    assert controller.hagit("confirm").code == 1
    assert controller.addresses("e0") == {"10.5.0.1/24"}


def test_drift_is_healed_while_a_change_waits(controller: Controller, far: FarEnd) -> None:
    heals = alerting("http://127.0.0.1:9/", "{default: heal}")
    good = commit(controller, PAIR_2S.replace("2s", "1m"), GOOD + heals)
    controller.start_agent()
    controller.until_applied(good)
    until(lambda: gateway_answers(controller))
    pair, net = CUTS["another network"]
    commit(controller, pair, net + heals)
    until_stage(controller, "pending")
    controller.machine.run("ip", "address", "del", "10.5.0.1/24", "dev", "e0")
    until(lambda: controller.addresses("e0") == {"10.5.0.1/24"}, controller.logs)
    assert change_of(controller)["stage"] == "pending"


def test_a_command_without_an_agent_minds_the_timer_itself(controller: Controller, far: FarEnd) -> None:
    good = commit(controller, PAIR_2S, GOOD)
    controller.apply()
    until(lambda: gateway_answers(controller))
    commit(controller, *CUTS["all networks"])
    done = controller.hagit("apply", "--yes")
    assert done.code == 1, done
    assert "Taken back" in done.err
    assert "did not answer within 2 s" in done.err
    assert controller.addresses() == {"10.0.0.1/24"}
    assert controller.in_force() == good
    assert controller.hagit("plan").code == 1 or controller.in_force() == good


def test_uncommitted_files_are_guarded_too(controller: Controller, far: FarEnd, tmp_path: object) -> None:
    commit(controller, PAIR_2S, GOOD)
    controller.apply()
    until(lambda: gateway_answers(controller))
    directory = controller.root / "draft"
    directory.mkdir()
    (directory / "all.yaml").write_text("".join(CUTS["all networks"]))
    done = controller.hagit("apply", "--yes", "--directory", str(directory))
    assert done.code == 1, done
    assert "Taken back" in done.err
    assert controller.addresses() == {"10.0.0.1/24"}


def test_the_first_apply_of_all_comes_back_to_what_another_program_set_up(controller: Controller, far: FarEnd) -> None:
    controller.ip("address add 10.0.0.1/24 dev e0", "link set e0 up", f"route add default via {GATEWAY}")
    until(lambda: gateway_answers(controller))
    before = seen(controller)
    commit(controller, PAIR_2S, interface("e0", "10.0.0.1/24", mtu=4000) + interface("e1", "10.1.0.1/24"))
    done = controller.hagit("apply", "--yes")
    assert done.code == 1, done
    assert "nothing is in force" in done.err
    assert seen(controller) == before
    assert controller.in_force() == ""


def test_a_plan_that_endangers_nothing_is_not_guarded(controller: Controller, far: FarEnd) -> None:
    commit(controller, PAIR_2S, GOOD)
    controller.apply()
    until(lambda: gateway_answers(controller))
    commit(controller, PAIR_2S, GOOD + interface("e1", "10.1.0.1/24"))
    controller.apply()
    assert change_of(controller) == {}


def test_within_a_time_an_operator_has_to_confirm(controller: Controller, far: FarEnd) -> None:
    good = commit(controller, PAIR_2S, GOOD)
    controller.start_agent()
    controller.until_applied(good)
    draft = controller.root / "draft"
    draft.mkdir()
    (draft / "all.yaml").write_text(PAIR_2S + GOOD + interface("e1", "10.1.0.1/24"))
    done = controller.hagit("apply", "--yes", "--directory", str(draft), "--confirm-within", "1m")
    assert done.code == 0, done
    assert "hagit confirm" in done.out
    again = controller.hagit("apply", "--yes", "--directory", str(draft))
    assert again.code == 1
    assert "not confirmed yet" in again.err
    assert controller.hagit("revert").code == 0
    assert controller.addresses() == {"10.0.0.1/24"}
