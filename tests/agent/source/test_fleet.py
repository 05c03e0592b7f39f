"""Many pairs in one repository: what another pair's commit means here, and what it does not mean."""

from __future__ import annotations

import pytest

from tests.agent.signing import Signing
from tests.controller import PAIR, Controller, interface, resource
from tests.wait import until

NORTH = PAIR.replace("spec:\n", "spec:\n  shared: [common]\n")
LINK = interface("storage0", "10.0.0.1/24", nic="e0")
OTHER = LINK.replace("10.0.0.1/", "10.0.0.7/")
ALERTS = resource("Alerting", "alerts", "{drift: {default: heal}}")


class Fleet:
    """A repository of two pairs and a shared folder; the controller belongs to `pairs/north`."""

    def __init__(self, controller: Controller) -> None:
        self.controller, self.keys = controller, Signing(controller)
        controller.work.git("rm", "-q", "-r", ".")
        self.write_node()

    def write_node(self, path: str = "pairs/north", trust: str = "") -> None:
        source = f"remotes = ['{self.controller.work.path}']\npath = '{path}'"
        lines = f"allowed_signers = '{self.keys.signers}'\n{trust}"
        self.controller.write_node(source=source, trust=lines)

    def commit(self, signer: str = "ada", message: str = "change", **files: str) -> str:
        """Commit files, `__` for a slash, signed by `signer`, or by no one."""
        work = self.controller.work
        for name, text in files.items():
            work.write(f"{name.replace('__', '/')}.yaml", text.encode())
        work.git("add", "-A")
        key = ["-c", "gpg.format=ssh", "-c", f"user.signingkey={self.keys.folder / signer}"] if signer else []
        work.git(*key, "commit", "-q", "--allow-empty", "-m", message, *(["-S"] if signer else []))
        return work.git("rev-parse", "HEAD")

    def begin(self) -> str:
        """The first state is in force."""
        first = self.commit(
            pairs__north__pair=NORTH, pairs__north__net=LINK, pairs__south__pair="kind: [", common__alerts=ALERTS
        )
        self.controller.apply()
        assert self.controller.in_force() == first
        return first

    def refused(self, *says: str) -> None:
        plan = self.controller.hagit("plan")
        assert plan.code == 1, plan
        for text in says:
            assert text in plan.err, (text, plan)


@pytest.fixture
def fleet(controller: Controller) -> Fleet:
    return Fleet(controller)


def test_what_other_pairs_commit_is_no_news_here(controller: Controller, fleet: Fleet) -> None:
    first = fleet.begin()
    assert controller.addresses("e0") == {"10.0.0.1/24"}
    controller.start_agent()
    controller.until_applied(first)
    lines = controller.hagit("history", "-o", "json").json()
    south = fleet.commit(pairs__south__pair="kind: Something")
    until(lambda: controller.status().get("head") == south, controller.status)
    assert controller.in_force() == first and controller.status()["revision"]["commit"] == first
    assert controller.hagit("history", "-o", "json").json() == lines
    plan = controller.hagit("plan", "-o", "json").json()
    assert (plan["actions"], plan["base"]["revision"]) == ([], f"main@{first}"), plan
    assert controller.hagit("validate", "--path", "pairs/north", str(controller.work.path)).code == 0
    # A document that pairs share is news, and its own place is named.
    broken = fleet.commit(common__alerts=ALERTS.replace("heal", "hael"))
    until(lambda: "common/alerts.yaml:5" in str(controller.status().get("refusal")), controller.status)
    assert controller.in_force() == first and controller.status()["head"] == broken
    mended = fleet.commit(common__alerts=ALERTS, pairs__north__net=OTHER)
    controller.until_applied(mended)
    assert controller.addresses("e0") == {"10.0.0.7/24"}
    assert controller.agents[0].stop() == 0


def test_places_and_blame_are_those_of_the_folder(controller: Controller, fleet: Fleet) -> None:
    fleet.begin()
    changed = fleet.commit(message="Readdress", pairs__north__net=OTHER)
    fleet.commit(message="Elsewhere", pairs__south__net="x: 1")
    (action, *_) = controller.hagit("plan", "-o", "json").json()["actions"]
    assert action["origin"]["file"] == "pairs/north/net.yaml", action
    assert action["blame"]["commit"] == changed and action["blame"]["summary"] == "Readdress"


def test_a_rollback_holds_while_other_pairs_commit(controller: Controller, fleet: Fleet) -> None:
    first = fleet.begin()
    second = fleet.commit(pairs__north__net=OTHER)
    fleet.commit(pairs__south__net="x: 1")
    controller.apply()
    assert controller.in_force() == second
    back = controller.hagit("rollback", "--yes")
    assert back.code == 0 and f"{second[:7]} is blocked" in back.out, back
    fleet.commit(pairs__south__net="x: 2")
    plan = controller.hagit("plan")
    assert f"main@{second[:7]} is blocked" in plan.err and controller.in_force() == first
    third = fleet.commit(pairs__north__net=OTHER.replace("10.0.0.7/", "10.0.0.8/"))
    controller.apply()
    assert controller.in_force() == third and controller.addresses("e0") == {"10.0.0.8/24"}
    # A commit that is named stands for the state that it has.
    assert controller.hagit("plan", "-r", first, "-o", "json").json()["base"]["revision"] == f"main@{first}"


def test_signatures_count_for_every_commit_and_scopes_for_the_folder(controller: Controller, fleet: Fleet) -> None:
    """A signer of the network may do anything in the folder of another pair, and nothing but the network here."""
    scopes = '[trust.scopes]\n"ada@example.org" = ["all"]\n"net@example.org" = ["network"]\ndefault = []'
    net = fleet.keys.signers.read_text().replace("ada@", "net@").splitlines()[0].split()
    key = (fleet.keys.folder / "stranger.pub").read_text().split()
    with fleet.keys.signers.open("a") as signers:
        signers.write(" ".join([*net[:2], *key[:2]]) + "\n")
    fleet.write_node(trust=scopes)
    fleet.begin()
    fleet.commit("stranger", pairs__south__pair=PAIR, pairs__south__alerts=ALERTS)
    good = fleet.commit("stranger", pairs__north__net=OTHER)
    controller.apply()
    assert controller.in_force() == good
    for files in (
        {"common__alerts": ALERTS.replace("heal", "warn")},
        {"pairs__north__pair": NORTH.replace("[common]", "[common, more]"), "more__route": "# nothing\n"},
        {"pairs__north__pair": PAIR},
    ):
        fleet.commit("stranger", **files)
        fleet.refused("net@example.org may change network", "needs source")
        controller.work.git("reset", "-q", "--hard", good)
    fleet.commit("", pairs__south__pair=PAIR)
    fleet.commit("ada", pairs__north__net=LINK)
    fleet.refused("is not signed")


def test_another_folder_needs_a_person(controller: Controller, fleet: Fleet) -> None:
    first = fleet.begin()
    fleet.commit(pairs__west__pair=PAIR, pairs__west__net=OTHER)
    controller.apply()
    assert controller.in_force() == first
    fleet.write_node("pairs/west")
    tip = controller.work.git("rev-parse", "HEAD")
    fleet.refused("names the folder pairs/west", "has followed the folder pairs/north", f"accept-history {tip}")
    assert controller.addresses("e0") == {"10.0.0.1/24"}
    assert controller.hagit("accept-history", "--yes", tip).code == 0
    controller.apply()
    assert controller.addresses("e0") == {"10.0.0.7/24"}
    # What was in force before is the state of the folder before.
    assert controller.hagit("rollback", "--yes").code == 0
    assert controller.addresses("e0") == {"10.0.0.1/24"}


def test_a_folder_that_is_not_there_changes_nothing(controller: Controller, fleet: Fleet) -> None:
    first = fleet.begin()
    controller.work.git("rm", "-q", "-r", "pairs/north")
    fleet.commit()
    fleet.refused("pairs/north: there is no YAML file in this folder", "[source] path")
    assert controller.in_force() == first and controller.addresses("e0") == {"10.0.0.1/24"}
    fleet.write_node("../north")
    assert "`path` has a value that does not fit" in controller.hagit("plan").err


def test_trailers_bind_the_commits_that_change_the_folder(controller: Controller, fleet: Fleet) -> None:
    here = "change\n\nHagit-Pair: north\nHagit-Branch: main"
    fleet.write_node(trust="pair = 'north'")
    fleet.commit("ada", here, pairs__north__pair=PAIR, pairs__north__net=LINK, pairs__south__pair=PAIR)
    controller.apply()
    fleet.commit("ada", here.replace("north", "south"), pairs__south__net=LINK)
    good = fleet.commit("ada", here.replace("north", "south\nHagit-Pair: north"), pairs__north__net=OTHER)
    fleet.commit("ada", "without trailers", pairs__south__net=OTHER)
    controller.apply()
    assert controller.in_force() == good
    fleet.commit("ada", here.replace("north", "south"), pairs__north__net=LINK)
    fleet.refused("meant for another pair or branch: it says Hagit-Pair: south, and here is north")
