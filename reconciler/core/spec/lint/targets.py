"""Defects of iSCSI targets: numbers, names and volumes that are used twice, and volumes that lose answered writes.

Decides from the resources alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.facts.storage import DatasetKind
from reconciler.core.spec.defect import Finding, defect
from reconciler.core.spec.lint.datasets import described_datasets
from reconciler.core.spec.lint.shares import written_above
from reconciler.core.spec.topology import SpecDraft


@defect("iqn-twice")
def iqn_twice(draft: SpecDraft) -> Iterator[Finding]:
    """Two targets have one name, or a target lets itself in."""
    seen: dict[str, str] = {}
    for target in draft.targets.values():
        first = seen.setdefault(target.spec.iqn, target.id)
        if first != target.id:
            yield target, ("iqn",), f"{first} has this name already", "Give each target a name of its own."
        for index, initiator in enumerate(target.spec.initiators):
            if initiator.iqn == target.spec.iqn:
                what = "this is the name of the target itself"
                remedy = "Write the name of the initiator: it stands in its file /etc/iscsi/initiatorname.iscsi."
                yield target, ("initiators", index, "iqn"), what, remedy


@defect("initiator-twice")
def initiator_twice(draft: SpecDraft) -> Iterator[Finding]:
    """A target names one initiator twice."""
    for target in draft.targets.values():
        seen: set[str] = set()
        for index, initiator in enumerate(target.spec.initiators):
            if initiator.iqn in seen:
                what = f"`{initiator.iqn}` stands here twice"
                yield target, ("initiators", index, "iqn"), what, "Keep one of them."
            seen.add(initiator.iqn)


@defect("lun-twice")
def lun_twice(draft: SpecDraft) -> Iterator[Finding]:
    """Two LUNs of a target have one number."""
    for target in draft.targets.values():
        seen: dict[int, str] = {}
        for index, lun in enumerate(target.spec.luns):
            if lun.lun in seen:
                what = f"LUN {lun.lun} is `{seen[lun.lun]}` already"
                yield target, ("luns", index, "lun"), what, "Give each LUN of a target a number of its own."
            seen.setdefault(lun.lun, lun.dataset)


@defect("volume-twice")
def volume_twice(draft: SpecDraft) -> Iterator[Finding]:
    """One volume is two LUNs, which would have one serial number."""
    seen: dict[str, str] = {}
    for target in draft.targets.values():
        for index, lun in enumerate(target.spec.luns):
            here = f"LUN {lun.lun} of {target.id}"
            dataset = draft.datasets.get(lun.dataset)
            first = seen.setdefault(dataset.spec.dataset if dataset is not None else lun.dataset, here)
            if first != here:
                what = f"`{lun.dataset}` is {first} already, and its serial number would appear twice"
                remedy = "Add the initiators to one target, or make a volume of its own."
                yield target, ("luns", index, "dataset"), what, remedy


@defect("lun-sync")
def lun_sync(draft: SpecDraft) -> Iterator[Finding]:
    """A volume is served that answers writes before they are on disk."""
    described = described_datasets(draft)
    for target in draft.targets.values():
        for index, lun in enumerate(target.spec.luns):
            dataset = draft.datasets.get(lun.dataset)
            if dataset is None or dataset.spec.type is not DatasetKind.VOLUME or dataset.spec.destroy:
                continue
            sync = written_above(dataset.spec.dataset, "sync", described)
            if sync != "always":
                found = f"has sync: {sync}" if sync is not None else "has no `sync`"
                what = f"`{lun.dataset}` {found}: a failover loses writes that were answered, and no initiator notices"
                remedy = f"Write properties: {{sync: always}} in {dataset.id}; a log device of the pool makes it fast."
                yield target, ("luns", index, "dataset"), what, remedy
