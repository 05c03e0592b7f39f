"""The stop of all targets: closed first, then their disks taken away, until no volume is open.

Targets, initiators and portals stay in the kernel, closed: an initiator that comes back is told to try again later,
not that its target does not exist, and the next start has less to do. A portal is never removed here, because its
removal may wait for sessions. Closing a target ends its sessions, which wait for their commands, so a pool that hangs
makes the stop hang; the caller has a deadline.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.shares.ports import Serving
from reconciler.system.shares.iscsi.backstores import own_backstores, remove_backstore
from reconciler.system.shares.iscsi.configfs import TargetTree, TargetTreeError, TreeOverdue
from reconciler.system.shares.iscsi.group_settings import (
    ENABLE,
    ChangeGroup,
    TreeAction,
    TreeChange,
    place_of,
    unit_of,
)
from reconciler.system.shares.iscsi.portal_groups import own_groups, perform_all, removal_of
from reconciler.system.shares.iscsi.report import ServingReport


def stop(tree: TargetTree, report: ServingReport) -> Serving:
    """Close every target of hagit and every volume. Returns DOWN if none is left. Raises TargetTreeError."""
    if not tree.ready():
        return Serving.DOWN
    with report.step("disable"):
        groups = own_groups(tree)
        closing = [(share, (_switch_off(iqn),)) for iqn, share in groups.items() if _is_open(tree, iqn)]
        _report(perform_all(tree, closing), report)
    release(tree, report)
    left = own_backstores(tree)
    still = [iqn for iqn in groups if _is_open(tree, iqn)]
    return Serving.PARTLY if left or still else Serving.DOWN


def release(tree: TargetTree, report: ServingReport, serials: Sequence[str] | None = None) -> None:
    """Unlink and remove backstores of hagit, all or these, wherever they are used. Raises TreeOverdue.

    A program that linked one of them into a target of its own loses that disk.
    """
    chosen = own_backstores(tree) if serials is None else list(serials)
    if not chosen:
        return
    with report.step("unlink"):
        units = [unit_of(serial) for serial in chosen]
        found: list[tuple[str, ChangeGroup]] = []
        for place in _all_groups(tree):
            found += [(place, group) for group in removal_of(tree, place, backstores=units)]
        _report(perform_all(tree, found), report)
    with report.step("close"):
        for serial in chosen:
            try:
                remove_backstore(tree, serial)
            except TreeOverdue:
                raise
            except TargetTreeError as error:
                report.fault("", f"a volume stays open: {error.what}", error.remedy)


def remove_group(tree: TargetTree, iqn: str) -> None:
    """Remove a target that is not configured any more, with its portals: its sessions end first.

    Raises TargetTreeError.
    """
    place = place_of(iqn)
    if _is_open(tree, iqn):
        tree.write(f"{place}/{ENABLE}", "0")
    groups = [(iqn, group) for group in removal_of(tree, place)]
    for error in perform_all(tree, groups).values():
        raise error
    for part in ("acls", "np"):
        for name in tree.objects(f"{place}/{part}"):
            tree.remove(f"{place}/{part}/{name}")
    tree.remove(place)
    tree.remove(f"iscsi/{iqn}")


def _is_open(tree: TargetTree, iqn: str) -> bool:
    return tree.read(f"{place_of(iqn)}/{ENABLE}") == "1"


def _switch_off(iqn: str) -> TreeChange:
    return TreeChange(TreeAction.WRITE, f"{place_of(iqn)}/{ENABLE}", "0")


def _all_groups(tree: TargetTree) -> list[str]:
    """Return the portal groups of all targets of all fabrics, as paths in the tree."""
    return [
        f"{fabric}/{target}/{group}"
        for fabric in tree.objects("")
        if fabric != "core"
        for target in tree.objects(fabric)
        for group in tree.objects(f"{fabric}/{target}", "tpgt_")
    ]


def _report(failed: dict[str, TargetTreeError], report: ServingReport) -> None:
    for owner, error in failed.items():
        if isinstance(error, TreeOverdue):
            raise error
        share = "" if "/" in owner else owner
        report.fault(share, error.what, error.remedy)
