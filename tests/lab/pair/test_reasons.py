"""Both controllers report a problem that would make a takeover fail while it lasts, on real disks and pools."""

from __future__ import annotations

import pytest

from reconciler.core.status.watchdog import ReasonStatus
from tests.lab.pair.emulated_pair import EmulatedPair
from tests.lab.pair.head import MASKS, Head

pytestmark = pytest.mark.timeout(1_800)
HOSTID = "/sys/module/spl/parameters/spl_hostid"
UNIT = f"{MASKS}/zfs-import-scan.service"


def told(head: Head) -> dict[str, ReasonStatus]:
    """Return the reasons that a controller publishes now, by their codes."""
    status = head.status()
    return {reason.code: reason for reason in status.reasons} if status is not None else {}


def about_storage(pair: EmulatedPair) -> set[str]:
    """Return what either reports of its pools, or of disks that it does not reach or that are not reserved."""
    return {code for head in pair.heads for code in told(head) if code.startswith(("ZFS_", "DISK"))}


def test_reasons_are_told_and_go_away_when_mended(pair: EmulatedPair) -> None:
    active = pair.active()
    standby = pair.other(active)
    # The target of this lab lacks these features, and no test can change that.
    lacks = {"NO_ABORT", "NO_APTPL"}
    pair.until(lambda: all(lacks <= told(head).keys() for head in pair.heads), "both tell what their disks lack")
    pair.until(lambda: not about_storage(pair), "nothing else is told of disks and pools")
    assert told(active)["NO_ABORT"].evidence == "; ".join(pair.orders.disks)

    own = standby.machine.check(f"cat {HOSTID}").strip()
    theirs = active.machine.check("od -An -tu4 /etc/hostid").strip()
    standby.machine.check(f"echo {theirs} > {HOSTID}")
    standby.machine.check(f"rm {UNIT}")
    active.machine.check("zpool set multihost=on tank && zpool set failmode=wait tank && zfs unmount tank/home")
    wanted = {"ZFS_SAME_HOSTID", "ZFS_IMPORT_UNIT"}
    pair.until(lambda: wanted <= told(standby).keys(), "the standby tells of hostid and unit")
    pair.until(
        lambda: {"ZFS_MULTIHOST", "ZFS_FAILMODE", "ZFS_UNMOUNTED"} <= told(active).keys(),
        "the active one tells of the pool",
    )
    reasons = told(active) | told(standby)
    pair.say("; ".join(f"{code}: {reasons[code].evidence}" for code in sorted(reasons)))
    assert reasons["ZFS_MULTIHOST"].remedy == "zpool set multihost=off tank"
    assert reasons["ZFS_UNMOUNTED"].evidence == "tank/home"
    _, page = standby.run_hagit("status")
    assert [code for code in wanted if code not in page] == [], page
    pair.until(
        lambda: all((status := head.status()) and status.verdict == "HA active" for head in pair.heads),
        "it is weaker, and there",
    )

    standby.machine.check(f"echo {own} > {HOSTID}; ln -sf /dev/null {UNIT}")
    active.machine.check(f"{reasons['ZFS_MULTIHOST'].remedy} && {reasons['ZFS_FAILMODE'].remedy} && zfs mount -a")
    pair.until(lambda: not about_storage(pair), "what was mended is told no more")
    assert pair.well() is active
    assert pair.verify() is active
