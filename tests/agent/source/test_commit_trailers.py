"""What a signature alone does not bind: when it was made, for which pair and branch, and that it is the newest."""

from __future__ import annotations

import pytest

from tests.agent.signing import Signing
from tests.controller import Controller, interface

STORAGE = interface("storage0", "10.0.0.1/24", nic="e0")
OTHER = STORAGE.replace("10.0.0.1/", "10.0.0.7/")


@pytest.fixture
def keys(controller: Controller) -> Signing:
    """Signatures count."""
    made = Signing(controller)
    controller.write_node(trust=f"allowed_signers = '{made.signers}'")
    return made


def refused(controller: Controller, why: str) -> None:
    done = controller.hagit("plan")
    assert (done.code, why in done.err) == (1, True), done


def test_an_expired_key_signs_nothing_new_whatever_date_it_writes(controller: Controller, keys: Signing) -> None:
    """Its key was valid until 2020; also where nothing was followed before, and below a commit of a valid key."""
    old = {"GIT_COMMITTER_DATE": "2019-06-01T00:00:00Z", "GIT_AUTHOR_DATE": "2019-06-01T00:00:00Z"}
    keys.commit("old", "First of all", OTHER, **old)
    refused(controller, "expired")
    good = keys.commit("ada", "Signed", STORAGE)
    controller.apply()
    for _ in range(2):
        keys.commit("old", "Backdated", OTHER, **old)
        refused(controller, "expired")
        keys.commit("ada", "On top", OTHER)
        refused(controller, "expired")
    assert controller.in_force() == good


def test_a_commit_for_another_pair_or_branch(controller: Controller, keys: Signing) -> None:
    here = "\n\nHagit-Pair: north\nHagit-Branch: main"
    keys.commit("ada", f"Says nothing of a pair{here.replace('north', 'south')}", STORAGE)
    assert controller.hagit("plan").code == 0, "the node file names no pair"
    keys.commit("ada", "For a branch\n\nHagit-Branch: test", OTHER)
    refused(controller, "meant for another pair or branch: it says Hagit-Branch: test, and here is main")
    controller.work.git("reset", "-q", "--hard", "HEAD~1")
    controller.write_node(trust=f"allowed_signers = '{keys.signers}'\npair = 'north'")
    keys.commit("ada", "No trailers", STORAGE)
    refused(controller, "no line Hagit-Pair: north")
    keys.commit("ada", f"Both{here}", OTHER)
    controller.apply()
    keys.commit("ada", f"South{here.replace('north', 'south')}", STORAGE)
    keys.commit("ada", f"Both again{here}", STORAGE)
    refused(controller, "it says Hagit-Pair: south, and here is north")
    assert controller.addresses("e0") == {"10.0.0.7/24"}


def test_the_floor_of_a_first_adoption(controller: Controller, keys: Signing) -> None:
    """A fresh controller is offered an old tip with a trusted signature."""
    old = keys.commit("ada", "Old", STORAGE)
    new = keys.commit("ada", "New", OTHER)
    trust = f"allowed_signers = '{keys.signers}'\nfloor = '{new[:16]}'"
    controller.write_node(trust=trust)
    controller.work.git("reset", "-q", "--hard", old)
    refused(controller, "the floor of the first adoption")
    controller.work.git("reset", "-q", "--hard", new)
    controller.apply()
    assert controller.addresses("e0") == {"10.0.0.7/24"}


def test_once_says_that_everything_was_refused(controller: Controller, keys: Signing) -> None:
    keys.commit("stranger", "Refused", STORAGE)
    done = controller.hagit("agent", "--once")
    assert done.code == 1
    assert "its key is not in" in done.err
    keys.signers.write_text(f'x@example.org namespaces="git" {(keys.folder / "stranger.pub").read_text()}')
    done = controller.hagit("agent", "--once")
    assert (done.code, done.err) == (0, "")
    assert controller.addresses("e0") == {"10.0.0.1/24"}
