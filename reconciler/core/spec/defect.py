"""The shape of a defect: a code, a function that finds it, and whether it stops the revision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from reconciler.core.spec.configuration import Resource
from reconciler.core.spec.topology import SpecDraft
from reconciler.core.spec.tree import Path
from reconciler.errors import Complaint

#: The resource with the path inside its spec, what is wrong, and what to do. Without a resource it is about all files.
Finding: TypeAlias = tuple[Resource[Any] | None, Path, str, str]
Check: TypeAlias = Callable[[SpecDraft], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class LintDefect:
    """One thing that can be wrong. A warning is shown and stops nothing."""

    code: str
    check: Check
    warning: bool

    @property
    def summary(self) -> str:
        """The defect in one sentence."""
        return (self.check.__doc__ or "").strip()

    def complaints(self, draft: SpecDraft) -> Iterator[Complaint]:
        """Every place in the draft that has this defect."""
        for resource, path, what, remedy in self.check(draft):
            if resource is None:
                yield Complaint("(all files)", 0, 0, what, remedy, self.code)
            else:
                yield resource.complaint(path, what, remedy, self.code)


def defect(code: str, *, warning: bool = False) -> Callable[[Check], LintDefect]:
    """Makes a defect of the function that finds it."""
    return lambda check: LintDefect(code, check, warning)
