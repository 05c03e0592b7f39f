"""A commit that was refused stays refused when a person names it."""

from __future__ import annotations

import pytest

from tests.agent.signing import Signing
from tests.controller import Controller, interface

STORAGE = interface("storage0", "10.0.0.1/24", nic="e0")
OTHER = STORAGE.replace("10.0.0.1/", "10.0.0.7/")
NAMED = (
    ("plan", "-r"),
    ("apply", "--yes", "-r"),
    ("diff", "-r"),
    ("rehearse", "switchover", "-r"),
    ("rollback", "--yes"),
)


@pytest.fixture
def keys(controller: Controller) -> Signing:
    """Signatures count, and two signed commits were applied."""
    made = Signing(controller)
    controller.write_node(trust=f"allowed_signers = '{made.signers}'")
    for address in ("10.0.0.1/", "10.0.0.2/"):
        made.commit("ada", f"Signed {address}", STORAGE.replace("10.0.0.1/", address))
        controller.apply()
    return made


def refuse_everywhere(controller: Controller, commit: str, why: str, remedy: str) -> None:
    """Every command that takes a commit says why it does not take this one, and leaves everything as it is."""
    before = controller.in_force(), controller.addresses("e0"), controller.lines("history.jsonl")
    for command in NAMED:
        done = controller.hagit(*command, commit)
        assert done.code == (2 if command[0] == "diff" else 1), (command, done)
        assert why in done.err, (command, done)
        assert remedy in done.err, (command, done)
    assert (controller.in_force(), controller.addresses("e0"), controller.lines("history.jsonl")) == before
    assert "blocked" not in controller.hagit("status").out


@pytest.mark.parametrize("signer", ["stranger", "old", ""])
def test_a_refused_signature(controller: Controller, keys: Signing, signer: str) -> None:
    good = controller.in_force()
    bad = keys.commit(signer, "Refused", OTHER) if signer else controller.work.commit("Refused", net__yaml=OTHER)
    refuse_everywhere(controller, bad, bad[:12], f"hagit accept-history {bad}")
    on_top = keys.commit("ada", "Signed on top", STORAGE.replace("10.0.0.1/", "10.0.0.3/"))
    refuse_everywhere(controller, bad, bad[:12], "hagit accept-history")
    assert controller.hagit("accept-history", "--yes", on_top).code == 0
    controller.apply()
    # A person who accepted the tip did not accept what lies below it.
    refuse_everywhere(controller, bad, bad[:12], "a person can accept only the tip")
    back = controller.hagit("rollback", "--yes", good[:10])
    assert back.code == 0, back
    assert controller.addresses("e0") == {"10.0.0.2/24"}


def test_a_refused_history(controller: Controller, keys: Signing) -> None:
    """A trusted signature on a branch that was replaced: refused until an operator accepts it, and then back again."""
    last = controller.in_force()
    controller.work.git("reset", "-q", "--hard", "HEAD~1")
    other = keys.commit("ada", "Another second", OTHER)
    refuse_everywhere(controller, other[:11], "was replaced", f"hagit accept-history {other}")
    assert controller.hagit("accept-history", "--yes", other).code == 0
    controller.apply()
    assert controller.addresses("e0") == {"10.0.0.7/24"}
    back = controller.hagit("rollback", "--yes")
    assert back.code == 0, back
    assert controller.in_force() == last


def test_a_signed_ancestor_of_what_is_in_force_may_be_named(controller: Controller) -> None:
    """Commits below the first that was adopted were never in force here: their own signatures count."""
    made = Signing(controller)
    controller.write_node(trust=f"allowed_signers = '{made.signers}'")
    below = made.commit("ada", "Below", OTHER)
    made.commit("ada", "Adopted", STORAGE)
    controller.apply()
    unsigned = controller.work.git("rev-list", "--max-parents=0", "HEAD")
    refuse_everywhere(controller, unsigned, "is not signed", "only the tip")
    plan = controller.hagit("plan", "-r", below)
    assert plan.code == 0, plan
    assert "10.0.0.7" in plan.out


def test_a_tip_that_was_refused_is_not_judged_again(controller: Controller, keys: Signing) -> None:
    """Neither fetched nor verified: its objects are gone, and the refusal is the same. New signers are asked anew."""
    bad = keys.commit("stranger", "Refused", OTHER)
    first = controller.hagit("plan")
    objects = controller.work.path / ".git" / "objects"
    objects.rename(objects.with_name("hidden"))
    assert controller.hagit("plan").err == first.err
    objects.with_name("hidden").rename(objects)
    keys.signers.write_text(
        keys.signers.read_text() + f'new@example.org namespaces="git" {(keys.folder / "stranger.pub").read_text()}'
    )
    controller.apply()
    assert controller.in_force() == bad


def test_a_long_range_is_verified_newest_first(controller: Controller, keys: Signing) -> None:
    """Commits by a stranger below more signed ones than one batch has."""
    bad = [keys.commit("stranger", f"Number {number}", OTHER) for number in range(3)]
    good = [keys.commit("ada", f"Signed {number}", OTHER) for number in range(20)]
    refused = controller.hagit("plan")
    assert refused.code == 1
    assert all(commit[:12] in refused.err for commit in bad)
    keys.signers.write_text(
        keys.signers.read_text() + f'new@example.org namespaces="git" {(keys.folder / "stranger.pub").read_text()}'
    )
    controller.apply()
    assert controller.in_force() == good[-1]


def test_what_is_dear_to_parse_is_parsed_once(controller: Controller) -> None:
    """A defective commit that is followed: the second look repeats what the first one found."""
    bad = controller.work.commit("A mistake", net__yaml=STORAGE.replace("/24", ""))
    first = controller.hagit("plan")
    assert "net.yaml:6" in first.err
    kept = controller.state / "compiled" / f"{bad}-a-defects.json"
    assert kept.exists()
    kept.write_text(kept.read_text().replace("net.yaml", "kept.yaml"))
    assert "kept.yaml:6" in controller.hagit("plan").err
