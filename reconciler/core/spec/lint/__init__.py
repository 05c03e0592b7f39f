"""The defects that a desired state can have although every resource in it is well formed: one function each.

Decides what contradicts itself or cannot work, from the resources alone. Does not know the live system: whether a NIC
is there is found when the desired state is bound to a controller.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from reconciler.core.spec.defect import LintDefect
from reconciler.core.spec.kinds import KINDS
from reconciler.core.spec.limits import COMPLAINTS_MAX
from reconciler.core.spec.lint import (
    addresses,
    datasets,
    exports,
    failover,
    links,
    members,
    names,
    policy,
    power,
    routing,
    shares,
    targets,
    whole,
)
from reconciler.core.spec.topology import SpecDraft
from reconciler.errors import Complaint

#: Every defect by its code: those that are about several kinds, then those that a kind brings along.
DEFECTS = {
    defect.code: defect
    for module in (
        whole,
        names,
        links,
        members,
        addresses,
        failover,
        policy,
        power,
        routing,
        datasets,
        shares,
        exports,
        targets,
    )
    for defect in vars(module).values()
    if isinstance(defect, LintDefect)
} | {defect.code: defect for kind in KINDS.values() for defect in kind.defects}


def lint(draft: SpecDraft) -> tuple[list[Complaint], list[Complaint]]:
    """Errors and warnings of a draft, each complaint once, in no particular order."""
    errors = _complaints(draft, (defect for defect in DEFECTS.values() if not defect.warning))
    warnings = _complaints(draft, (defect for defect in DEFECTS.values() if defect.warning))
    return [*errors, *shares.too_many(draft)], warnings


def _complaints(draft: SpecDraft, defects: Iterable[LintDefect]) -> list[Complaint]:
    """A defect that shows on both controllers is one defect."""
    found: dict[Complaint, Complaint] = {}
    for defect in defects:
        for complaint in islice(defect.complaints(draft), COMPLAINTS_MAX):
            first = replace(complaint, what=complaint.what.replace(" on controller b", " on controller a"))
            if first in found and first != complaint:
                complaint = replace(complaint, what=first.what.replace(" on controller a", " on controllers a and b"))
            found[first] = complaint
        if len(found) > COMPLAINTS_MAX:
            break
    return list(found.values())
