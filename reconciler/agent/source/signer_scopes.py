"""Whether each new commit changes only what its signer may change: `[trust] scopes` of the node file.

**Each commit of a new range is judged by itself: what differs between it and any of its parents needs the scopes of
its signer.** So the judgement depends on the commits and the node file alone, and not on the time of a poll. It is
sound because a resource that no judged commit changed is the same in the head as in the commit that was accepted last.
That is why a merge is compared with *every* parent: if only what differs from all of them counted, a merge with an old
commit could bring back an old pool layout.

In a repository of many pairs only what differs in the folder of this pair, and in those that it shares, is judged here:
nothing else takes effect here. A document that enters by another list of shared folders is a difference, too.

The first history that is adopted has no such commit before it: its head is judged for the whole state, unless a
floor with all 40 digits names the last known commit. `agent/source/selector` verifies the signatures first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler import __version__
from reconciler.agent.source.trust_policy import TrustPolicy
from reconciler.agent.store import Store
from reconciler.core.facts.scope import EVERYTHING, Scope, Scopes
from reconciler.errors import SignatureRefused, SourceError, UnsupportedSource
from reconciler.printing import cut, printable
from reconciler.system.clock import monotonic_s
from reconciler.system.files import read_json, write_json
from reconciler.system.git.folder import WHOLE, Folder, changes_folder, read_folder
from reconciler.system.git.history import Advance, CommitInfo, advance
from reconciler.system.git.mirror import Mirror
from reconciler.system.git.quarantine import COMMITS_MAX
from reconciler.system.git.tree import Tree
from reconciler.system.signatures import names_of
from reconciler.system.signing.verdict import Scheme, Verdict, Verified

if TYPE_CHECKING:
    from reconciler.core.spec.commit_changes import Touch

#: Time limit of one poll for comparisons; it compares at least one commit. Its results count in the next poll.
SCOPES_S: Final = 10.0
#: A merge of more parents is not compared: it needs every scope.
PARENTS_MAX: Final = 8
FLOOR_DIGITS: Final = 40
FORMAT: Final = "hagit.scoped/1"
FIRST: Final = (
    "it is the first that is adopted here, so its signer answers for the whole state and needs every scope; or name "
    "a commit below it that you know, with all 40 digits: [trust] floor"
)
_NAMED_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class JudgedRange:
    """The commits to judge one by one, oldest first. `whole`: judge the head for the whole state instead."""

    head: str
    commits: tuple[CommitInfo, ...]
    to_verify: tuple[str, ...]
    whole: bool = False


def judged_range(mirror: Mirror, step: Advance, policy: TrustPolicy) -> JudgedRange:
    """The commits of a step to judge, and the signatures that this needs. Raises as `advance`."""
    if policy.scopes is None or not step.first:
        return JudgedRange(step.head, step.commits, step.to_verify)
    if len(policy.floor) != FLOOR_DIGITS:
        return JudgedRange(step.head, (), step.to_verify, whole=True)
    # `require_addressed` has found the floor among these commits.
    above = advance(mirror, policy.floor, step.head).commits
    return JudgedRange(step.head, above, tuple(commit.id for commit in above) or step.to_verify)


def require_scopes(
    store: Store,
    mirror: Mirror,
    scopes: Scopes | None,
    judged: JudgedRange,
    verdicts: Mapping[str, Verdict],
    folder: Folder = WHOLE,
) -> None:
    """Raise SignatureRefused for a signer who may not change what a commit changes in the folder of this pair.

    Raises SourceError when a range needs more than one poll.
    """
    if scopes is None:
        return
    if judged.whole:
        require_every_scope(scopes, judged.head, verdicts.get(judged.head), FIRST)
        return
    known = _remembered(read_json(store.scoped), folder.path)
    found: dict[str, frozenset[Scope]] = {}
    deadline_s = monotonic_s() + SCOPES_S
    try:
        for at, commit in enumerate(judged.commits):
            verdict = verdicts.get(commit.id)
            allowed = _allowed(scopes, verdict)
            if known.get(commit.id, EVERYTHING) <= allowed:
                continue
            if found and monotonic_s() > deadline_s:
                left = f"{len(judged.commits) - at} of {len(judged.commits)}"
                raise SourceError(f"what {left} new commits change is still to be judged; the next poll continues")
            touches = _changes(mirror, commit, folder)
            beyond = [touch for touch in touches if touch.scope not in allowed]
            if beyond:
                raise _refused(judged.head, commit.id, verdict, allowed, _spelled(beyond))
            found[commit.id] = frozenset(touch.scope for touch in touches)
    finally:
        if found:
            _remember(store, known | found, folder.path)


def require_every_scope(scopes: Scopes | None, commit: str, verdict: Verdict | None, why: str) -> None:
    """Raise SignatureRefused unless the signer of `commit` may change everything; `why` that is needed."""
    allowed = EVERYTHING if scopes is None else _allowed(scopes, verdict)
    if allowed != EVERYTHING:
        raise _refused(commit, commit, verdict, allowed, [why])


def _allowed(scopes: Scopes, verdict: Verdict | None) -> frozenset[Scope]:
    """The scopes of a signer; none without a trusted signature."""
    if not isinstance(verdict, Verified):
        return frozenset()
    return scopes.of(names_of(verdict), verdict.principal if verdict.scheme is Scheme.OPENPGP else "")


def _changes(mirror: Mirror, commit: CommitInfo, folder: Folder) -> tuple[Touch, ...]:
    """The differences between a commit and any of its parents; a root commit adds everything."""
    if not changes_folder(mirror, commit.id, folder):
        return ()
    # Imported late: a commit without changes of the state needs neither parser nor models.
    from reconciler.core.spec.commit_changes import everything, touched

    if len(commit.parents) > PARENTS_MAX:
        return everything(f"a merge of {len(commit.parents)} parents")
    empty: Tree = {}
    try:
        after = read_folder(mirror, commit.id, folder)
        befores = [read_folder(mirror, parent, folder) for parent in commit.parents] or [empty]
    except UnsupportedSource as unsupported:
        return everything(cut(" ".join(unsupported.what.split())))
    return tuple(sorted({touch for before in befores for touch in touched(before, after)}))


def _spelled(touches: list[Touch]) -> list[str]:
    """A line for each place, with every scope that it needs."""
    needs: dict[str, list[str]] = {}
    for touch in touches:
        place = f" ({cut(printable(touch.file))}:{touch.line})" if touch.file else ""
        needs.setdefault(cut(printable(touch.what)) + place, []).append(touch.scope)
    return [f"{what} needs {' and '.join(scopes)}" for what, scopes in needs.items()]


def _refused(
    head: str, commit: str, verdict: Verdict | None, allowed: frozenset[Scope], beyond: list[str]
) -> SignatureRefused:
    signer = verdict.principal if isinstance(verdict, Verified) else "a signer who is not trusted here"
    if isinstance(verdict, Verified) and verdict.scheme is Scheme.OPENPGP:
        signer += f" ({verdict.fingerprint})"
    more = [f"and {len(beyond) - _NAMED_MAX} more"] if len(beyond) > _NAMED_MAX else []
    lines = "".join(f"\n  {line}" for line in (*beyond[:_NAMED_MAX], *more))
    may = ", ".join(sorted(allowed)) or "nothing"
    return SignatureRefused(
        f"{commit[:12]} changes more than its signer may: {signer} may change {may}:{lines}",
        remedy="replace it on the branch by a commit of a signer who may (a merge needs the scopes of all that it "
        f"brings together), or, if a person has read it and means it: hagit accept-history {head}; "
        "scopes are in the node file, [trust.scopes]",
    )


def _remember(store: Store, scopes: Mapping[str, frozenset[Scope]], folder: str) -> None:
    kept = [(commit, sorted(needed)) for commit, needed in scopes.items()][-COMMITS_MAX:]
    write_json(
        store.scoped, {"format": FORMAT, "hagit": __version__, "folder": folder, "commits": dict(kept)}, sync=False
    )


def _remembered(document: object, folder: str) -> dict[str, frozenset[Scope]]:
    """The results of earlier polls of this folder by the same version of hagit; empty when the file is damaged."""
    match document:
        case {"format": str(form), "hagit": str(version), "commits": dict(commits), **more} if (
            form == FORMAT and version == __version__ and more.get("folder", "") == folder
        ):
            try:
                return {str(commit): frozenset(Scope(one) for one in needed) for commit, needed in commits.items()}
            except (TypeError, ValueError):
                return {}
    return {}
