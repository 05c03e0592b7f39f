"""Change of the secret: every order of all steps on both controllers, and the refusals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from reconciler.core.failover.heartbeats.secret_change import (
    SecretStepRefusal,
    SecretView,
    refuse_addition,
    refuse_drop,
    refuse_use,
)

SECRETS = ("old", "new", "newer")


@dataclass(frozen=True, slots=True)
class Files:
    """The secrets of one controller."""

    used: str = "old"
    next: str = ""
    previous: str = ""

    def accepts(self) -> set[str]:
        return {self.used, self.next, self.previous} - {""}


def view_of(here: Files, there: Files) -> SecretView:
    """Its watchdog has read the files, and a heartbeat of the peer has come since its last step."""
    others = tuple({here.next, here.previous} - {""})
    return SecretView(
        here.used, here.next, here.previous, accepted=others, peer_uses=there.used,
        peer_accepts=there.next or there.previous,
    )  # fmt: skip


def steps(here: Files, there: Files) -> Iterator[Files]:
    """Everything that the operator may do on one controller, who never goes back to a secret that is being retired."""
    view = view_of(here, there)
    for number in SECRETS:
        if refuse_addition(view, number) is None and number != there.previous:
            yield replace(here, next=number)
    if refuse_use(view, without_peer=False) is None:
        yield Files(here.next, "", here.used)
    if refuse_drop(view, without_peer=False) is None:
        yield replace(here, previous="") if here.previous else replace(here, next="")


def test_both_controllers_understand_each_other_after_every_order_of_steps() -> None:
    start = (Files(), Files())
    found, left = {start}, [start]
    while left:
        here, there = left.pop()
        assert here.used in there.accepts(), f"{there} does not understand {here}"
        assert there.used in here.accepts(), f"{here} does not understand {there}"
        after = {(one, there) for one in steps(here, there)} | {(here, one) for one in steps(there, here)}
        assert after, f"stuck: {here}, {there}"
        left += after - found
        found |= after
    assert (Files("new"), Files("new")) in found, "a change can be brought to its end"
    assert (Files("newer"), Files("newer")) in found, "and another one after it"


ONLY = SecretView("old", peer="storage-b", peer_uses="old")
ADDED = replace(ONLY, next="new", accepted=("new",))
USED = SecretView("new", previous="old", accepted=("old",), peer="storage-b", peer_uses="old", peer_accepts="new")


@pytest.mark.parametrize(
    ("refusal", "what"),
    [
        (refuse_addition(ONLY, "old"), "old is the secret in use here"),
        (refuse_addition(ADDED, "newer"), "new is the next secret already"),
        (refuse_addition(ADDED), "new is the next secret already"),
        (refuse_addition(USED), "old has not been dropped yet"),
        (refuse_use(ONLY, without_peer=False), "there is no next secret here"),
        (refuse_use(replace(ADDED, accepted=()), without_peer=True), "the watchdog has not read the next secret yet"),
        (refuse_use(ADDED, without_peer=False), "storage-b is not known to accept new: it could not understand"),
        (refuse_use(replace(ADDED, peer_uses=""), without_peer=False), "storage-b is not heard"),
        (refuse_use(replace(ADDED, runs=False), without_peer=False), "no watchdog runs here"),
        (refuse_drop(ONLY, without_peer=False), "only one secret is accepted here"),
        (refuse_drop(replace(ADDED, peer_uses="new"), without_peer=True), "storage-b uses new already"),
        (refuse_drop(USED, without_peer=False), "storage-b is not known to use new"),
    ],
)
def test_what_is_refused_and_why(refusal: SecretStepRefusal | None, what: str) -> None:
    assert refusal is not None
    assert refusal.what.startswith(what)
    assert refusal.remedy


@pytest.mark.parametrize(
    "allowed",
    [
        refuse_addition(ONLY),
        refuse_addition(ADDED, "new"),
        refuse_use(replace(ADDED, peer_accepts="new"), without_peer=False),
        refuse_use(replace(ADDED, runs=False, accepted=()), without_peer=True),
        refuse_drop(ADDED, without_peer=False),
        refuse_drop(USED, without_peer=True),
        refuse_drop(replace(USED, peer_uses="new"), without_peer=False),
    ],
)
def test_what_is_allowed(allowed: SecretStepRefusal | None) -> None:
    assert allowed is None
