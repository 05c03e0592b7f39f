"""Shares by commits, on controllers as a user has them: the agents make the state dataset, the watchdogs serve."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.image import Image
from tests.lab.pair.client_machine import judged, until_served
from tests.lab.pair.repository_pair import EXPORT, TARGET, RepositoryPair
from tests.lab.pair.served_pair import IQN

pytestmark = pytest.mark.timeout(1_800)


def test_a_commit_adds_shares_and_another_removes_one(
    storage_image: Image, progress: Callable[[str], None], tmp_path: Path
) -> None:
    with RepositoryPair(storage_image, tmp_path, progress) as pair:
        pair.commit("shares.yaml", f"{EXPORT}---\n{TARGET}", "An export and a target")
        until_served(pair, {"nfs": {"home"}, "iscsi": {"vm"}})
        pair.say("both are served")
        guest, old = pair.guest, pair.active()
        properties = "mountpoint,sync,canmount"
        state = old.machine.check(f"zfs get -H -o value {properties} tank/hagit-state").split()
        assert state == ["/var/lib/hagit/pool-state", "always", "on"]
        export, device = guest.mount("/srv/home"), guest.log_in(IQN)
        guest.machine.check(f"mkdir {export}/copies")
        guest.places = {"nfs": ("copy", f"{export}/copies"), "iscsi": ("write", device)}
        with guest.writers() as found:
            new, mark = pair.other(old), pair.other(old).mark()
            old.pull_the_plug()
            pair.taken_over(new, mark)
        judged(found, lambda name, text: pair.say(f"{name}: {text}"))
        guest.machine.check("iscsiadm -m node -u")
        pair.commit("shares.yaml", EXPORT, "No target any more")
        until_served(pair, {"nfs": {"home"}})
