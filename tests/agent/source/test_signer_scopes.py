"""What a signer may change: real commits, real signatures, and every way around that a signer could try."""

from __future__ import annotations

import pytest

from tests.agent.signing import Signing
from tests.controller import PAIR, Controller, interface, resource
from tests.system.servers import make_key

LINK = interface("storage0", "10.0.0.1/24", nic="e0")
ROUTE = resource("Route", "out", "{destination: 10.9.0.0/16, gateway: 10.0.0.9}")
ALERTS = resource("Alerting", "alerts", "{drift: {default: heal}}")


class Scoped:
    """Three signers: ada may change everything, net the network, sam sources and alerts."""

    def __init__(self, controller: Controller) -> None:
        self.controller, self.keys = controller, Signing(controller)
        for name in ("net", "sam"):
            key = make_key(self.keys.folder / name).with_suffix(".pub").read_text()
            with self.keys.signers.open("a") as signers:
                signers.write(f'{name}@example.org namespaces="git" {key}')
        self.write_node('default = ["all"]')

    def write_node(self, default: str, floor: str = "") -> None:
        lines = [f"allowed_signers = '{self.keys.signers}'", *([f"floor = '{floor}'"] if floor else [])]
        lines += ["[trust.scopes]", '"net@example.org" = ["network"]', '"sam@example.org" = ["source"]', default]
        self.controller.write_node(trust="\n".join(lines))

    def git(self, name: str, *arguments: str) -> str:
        """A git command that signs with the key of this name; the head then."""
        key = f"user.signingkey={self.keys.folder / name}"
        self.controller.work.git("-c", "gpg.format=ssh", "-c", key, "-c", "commit.gpgsign=true", *arguments)
        return self.controller.work.git("rev-parse", "HEAD")

    def commit(self, name: str, **files: str) -> str:
        for file, text in files.items():
            self.controller.work.write(file.replace("__", "."), text.encode())
        self.controller.work.git("add", "-A")
        return self.git(name, "commit", "-q", "-m", f"By {name}")

    def refused(self, commit: str, *says: str) -> None:
        """A plan is refused for this commit, and what was in force stays."""
        before = self.controller.in_force()
        plan = self.controller.hagit("plan")
        assert plan.code == 1 and f"{commit[:12]} changes more than its signer may" in plan.err, plan
        for text in (*says, "hagit accept-history", "[trust.scopes]"):
            assert text in plan.err, (text, plan)
        assert self.controller.in_force() == before
        assert self.controller.hagit("plan").err == plan.err, "remembered, in the same words"

    def reset(self, commit: str) -> None:
        self.controller.work.git("reset", "-q", "--hard", commit)


@pytest.fixture
def scoped(controller: Controller) -> Scoped:
    """The state is in force, signed by ada."""
    made = Scoped(controller)
    made.commit("ada", net__yaml=LINK)
    controller.apply()
    return made


def test_a_signer_changes_what_is_his_and_nothing_else(controller: Controller, scoped: Scoped) -> None:
    good = scoped.commit("net", net__yaml=LINK.replace("10.0.0.1/", "10.0.0.5/"))
    controller.apply()
    assert controller.in_force() == good and controller.addresses("e0") == {"10.0.0.5/24"}
    bad = scoped.commit("net", alerts__yaml=ALERTS)
    scoped.refused(bad, "net@example.org may change network", "Alerting/alerts", "alerts.yaml:", "needs source")
    scoped.reset(good)
    fine = scoped.commit("sam", alerts__yaml=ALERTS)
    controller.apply()
    assert controller.in_force() == fine
    # To take it away is a change as well.
    controller.work.git("rm", "-q", "alerts.yaml")
    scoped.refused(scoped.git("net", "commit", "-q", "-m", "Away"), "Alerting/alerts (removed)")


def test_each_commit_is_judged_whatever_lies_on_top(controller: Controller, scoped: Scoped) -> None:
    """The same range is judged the same in one look or in many: a good commit covers nothing, nor does the undoing."""
    start = controller.in_force()
    bad = scoped.commit("sam", net__yaml=LINK + ROUTE)
    scoped.commit("ada", alerts__yaml=ALERTS)
    scoped.refused(bad, "Route/out", "needs network")
    scoped.reset(start)
    bad = scoped.commit("sam", net__yaml=LINK + ROUTE)
    scoped.commit("sam", net__yaml=LINK)
    scoped.refused(bad, "Route/out")
    accepted = controller.work.git("rev-parse", "HEAD")
    assert controller.hagit("accept-history", "--yes", accepted).code == 0
    controller.apply()
    assert controller.in_force() == accepted


def test_a_broken_file_needs_a_signer_of_everything(controller: Controller, scoped: Scoped) -> None:
    start = controller.in_force()
    bad = scoped.commit("net", broken__yaml="kind: [")
    scoped.refused(bad, "(broken.yaml:", "needs destroy and failover and shares and source and storage")
    scoped.commit("net", broken__yaml="# mended\n")
    scoped.refused(bad)
    scoped.reset(start)
    (controller.work.path / "link.yaml").symlink_to("net.yaml")
    scoped.commit("net")
    (controller.work.path / "link.yaml").unlink()
    bad = controller.work.git("rev-parse", "HEAD")
    scoped.commit("net")
    scoped.refused(bad, "a symlink")


def test_a_merge_cannot_bring_an_old_state_back(controller: Controller, scoped: Scoped) -> None:
    """Its tree is that of an older parent: in no file does it differ from all of its parents."""
    start = controller.in_force()
    newer = scoped.commit("ada", alerts__yaml=ALERTS)
    controller.apply()
    controller.work.git("checkout", "-q", "-b", "side", start)
    scoped.commit("net", net__yaml=LINK + ROUTE)
    controller.work.git("checkout", "-q", "main")
    merged = scoped.git("net", "merge", "-q", "-s", "ours", "--no-ff", "--no-edit", "side")
    controller.work.git("rm", "-q", "alerts.yaml")
    bad = scoped.git("net", "commit", "-q", "--amend", "--no-edit")
    assert merged != bad
    scoped.refused(bad, "Alerting/alerts (removed)", "needs source")
    scoped.reset(newer)
    # A merge of what is on top of the branch changes what its commits did.
    controller.work.git("checkout", "-q", "-B", "side", "main")
    scoped.commit("net", net__yaml=LINK + ROUTE)
    controller.work.git("checkout", "-q", "main")
    good = scoped.git("net", "merge", "-q", "--no-ff", "--no-edit", "side")
    controller.apply()
    assert controller.in_force() == good


def test_the_first_history_needs_every_scope_or_a_floor(controller: Controller) -> None:
    scoped = Scoped(controller)
    floor = scoped.commit("ada", net__yaml=LINK)
    tip = scoped.commit("net", net__yaml=LINK + ROUTE)
    scoped.refused(tip, "the first that is adopted here", "[trust] floor")
    scoped.write_node('default = ["all"]', floor[:12])
    scoped.refused(tip, "with all 40 digits")
    scoped.write_node('default = ["all"]', floor)
    controller.apply()
    assert controller.in_force() == tip
    below = controller.hagit("plan", "-r", floor)
    assert below.code == 0, "ada answers for the whole state"


def test_a_floor_judges_every_commit_above_it(controller: Controller) -> None:
    scoped = Scoped(controller)
    floor = scoped.commit("ada", net__yaml=LINK)
    bad = scoped.commit("net", alerts__yaml=ALERTS)
    scoped.commit("net", net__yaml=LINK + ROUTE)
    scoped.write_node('default = ["all"]', floor)
    scoped.refused(bad, "needs source")


def test_naming_a_commit_bypasses_no_check(controller: Controller) -> None:
    """A commit below the first adoption, by a signer with some scopes: its state was never judged."""
    scoped = Scoped(controller)
    below = scoped.commit("net", net__yaml=LINK, pair__yaml=PAIR.replace("shelf-b", "shelf-x"))
    controller.work.git("rm", "-q", "net.yaml")
    top = scoped.commit("ada", net__yaml=LINK.replace("10.0.0.1/", "10.0.0.6/"))
    controller.apply()
    for command in (("plan", "-r"), ("apply", "--yes", "-r"), ("rollback", "--yes")):
        done = controller.hagit(*command, below)
        assert done.code == 1 and "never in force here" in done.err, done
    assert controller.in_force() == top


def test_a_default_holds_for_signers_who_are_not_named(controller: Controller, scoped: Scoped) -> None:
    scoped.write_node("default = []")
    bad = scoped.commit("ada", net__yaml=LINK + ROUTE)
    scoped.refused(bad, "ada@example.org may change nothing", "needs network")
    scoped.write_node('"ada@example.org" = ["all"]\ndefault = []')
    controller.apply()
    assert controller.in_force() == bad, "another table is another judgement"


def test_comments_and_other_files_are_free(controller: Controller, scoped: Scoped) -> None:
    good = scoped.commit("sam", net__yaml="# measured in May\n" + LINK, README__md="Ours")
    controller.apply()
    assert controller.in_force() == good


def test_a_long_range_goes_on_where_the_last_look_ended(controller: Controller, scoped: Scoped) -> None:
    """What earlier looks found out is not asked again; a memory of another form is as good as none."""
    for number in range(2, 6):
        scoped.commit("net", net__yaml=LINK.replace("10.0.0.1/", f"10.0.0.{number}/"))
    controller.apply()
    kept = controller.state / "scoped.json"
    assert kept.read_text().count("network") == 4
    kept.write_text(kept.read_text().replace("network", "everything"))
    good = scoped.commit("net", net__yaml=LINK)
    controller.apply()
    assert controller.in_force() == good
