"""Whether a command may use a commit that the operator names.

The one check for `plan -r`, `apply -r`, `diff -r`, `rehearse -r` and `rollback`. *Naming a commit never permits what
following the branch refused*: the commit must belong to the followed history and pass the same signature policy. A
commit that was in force here before may always come back, because it passed at that time. `agent/source/selector`
follows the branch.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.agent.source.pair_folder import pair_folder
from reconciler.agent.source.refused_tips import RefusedTips, refused_tips
from reconciler.agent.source.selector import folder_changed, revision_of, verify_commits
from reconciler.agent.source.signer_scopes import require_every_scope
from reconciler.agent.source.trust_policy import TrustPolicy, trust_policy_in_force
from reconciler.agent.store import AcceptedHistory, Store
from reconciler.core.status.revision import Revision
from reconciler.errors import HistoryRefused, SignatureRefused, SourceError
from reconciler.system.git.folder import newest_change
from reconciler.system.git.history import describe, leads_to
from reconciler.system.git.mirror import Mirror
from reconciler.system.node import Node
from reconciler.system.signatures import judge, require

#: Words in `history.jsonl` for a commit that was in force here, or that an operator accepted.
_IN_FORCE = frozenset({"applied", "rolled back", "restored", "accepted"})
_NEVER_IN_FORCE = "it was never in force here, so its signer answers for the whole state and needs every scope"
_ONLY_THE_TIP = "commit these files anew, signed, and follow that; a person can accept only the tip of the branch"


def admit_commit(node: Node, store: Store, mirror: Mirror, commit: str) -> Revision:
    """The revision of `commit` (an id or its beginning), which may be used here.

    In a repository of many pairs: of the newest commit up to it that changed the folder of this pair.

    Raises SourceError when it is not here, HistoryRefused when it is not part of the followed history, and
    SignatureRefused when the policy in force refuses its signature. Each error has a remedy.
    """
    accepted = store.accepted()
    if not accepted.head:
        raise SourceError("no revision has been accepted yet", remedy="run `hagit plan`: it says why")
    policy = trust_policy_in_force(node, accepted)
    for known in (accepted.good, accepted.pinned):
        if known is not None and known.commit == commit:
            return known
    if accepted.folder != policy.folder:
        raise folder_changed(accepted, policy)
    try:
        named = describe(mirror, commit).id
        state = newest_change(mirror, named, pair_folder(policy.folder))
        revision = replace(revision_of(mirror, policy.branch, state), folder=policy.folder)
    except SourceError as missing:
        raise _why_not_here(refused_tips(store.root, policy, accepted), commit, missing) from missing
    if (revision.commit, revision.folder) not in _were_in_force(store):
        _require_followed(store, mirror, policy, accepted, named)
    return revision


def _why_not_here(refused: RefusedTips, commit: str, missing: SourceError) -> SourceError:
    """Why a commit is not in the mirror: it was refused (refused commits are not kept), or it is unknown."""
    known = refused.of(commit)
    if known is not None:
        return known
    tip = refused.last()
    if not tip:
        return missing
    return SourceError(
        f"{missing.what}; what was refused is not kept", where=missing.where, remedy=f"{_ONLY_THE_TIP}, which is {tip}"
    )


def _were_in_force(store: Store) -> set[tuple[str, str]]:
    """Commits that were in force here, each with the folder."""
    found = (entry["revision"] for entry in store.history() if entry["what"] in _IN_FORCE)
    return {(revision["commit"], revision.get("folder", "")) for revision in found}


def _require_followed(
    store: Store, mirror: Mirror, policy: TrustPolicy, accepted: AcceptedHistory, commit: str
) -> None:
    """Raise unless `commit` leads to the accepted head and its signature is good."""
    if not leads_to(mirror, commit, accepted.head):
        raise HistoryRefused(
            f"{commit} is not part of the history that this controller follows, up to {accepted.head}",
            remedy=_ONLY_THE_TIP,
        )
    try:
        verdicts = verify_commits(store, mirror, policy, (commit,), seen=True)
        require(judge(verdicts, policy.unsigned, policy.signers), commit)
        if commit != accepted.head:
            # The head was judged with its range. A commit below it may never have been judged.
            require_every_scope(policy.scopes, commit, verdicts.get(commit), _NEVER_IN_FORCE)
    except SignatureRefused as refusal:
        raise SignatureRefused(refusal.what, where=refusal.where, remedy=_ONLY_THE_TIP) from refusal
