"""Whether a commit that a person names may be used here: `plan -r`, `apply -r`, `diff -r`, `rehearse -r`, `rollback`.

The one gate for every command that takes a commit. *Naming a commit never does what following the branch refused*: the
commit must be part of the history that this controller follows, and pass the same signature policy. What was in force
here before may always come back, because it passed when it came. `agent/source/selector` decides what is followed.
"""

from __future__ import annotations

from reconciler.agent.source.refused_tips import RefusedTips, refused_tips
from reconciler.agent.source.selector import revision_of, verify_commits
from reconciler.agent.source.signer_scopes import require_every_scope
from reconciler.agent.source.trust_policy import TrustPolicy, trust_policy_in_force
from reconciler.agent.store import Accepted, Store
from reconciler.core.status.revision import Revision
from reconciler.errors import HistoryRefused, SignatureRefused, SourceError
from reconciler.system.git.history import leads_to
from reconciler.system.git.mirror import Mirror
from reconciler.system.node import Node
from reconciler.system.signatures import UnsignedPolicy, judge, require

#: What `history.jsonl` says of a commit that was in force here, or that a person accepted.
_IN_FORCE = frozenset({"applied", "rolled back", "restored", "accepted"})
_NEVER_IN_FORCE = "it was never in force here, so its signer answers for the whole state and needs every scope"
_ONLY_THE_TIP = "commit these files anew, signed, and follow that; a person can accept only the tip of the branch"


def admit_commit(node: Node, store: Store, mirror: Mirror, commit: str) -> Revision:
    """The revision of `commit` (an id or its beginning), which may be used here.

    Raises SourceError when it is not here, HistoryRefused when it is not part of the followed history, and
    SignatureRefused when the policy in force refuses its signature. Each says what a person can do.
    """
    accepted = store.accepted()
    if not accepted.head:
        raise SourceError("no revision has been accepted yet", remedy="run `hagit plan`: it says why")
    policy = trust_policy_in_force(node, accepted)
    for known in (accepted.good, accepted.pinned):
        if known is not None and known.commit == commit:
            return known
    try:
        revision = revision_of(mirror, policy.branch, commit)
    except SourceError as missing:
        raise _why_not_here(refused_tips(store.root, policy, accepted), commit, missing) from missing
    if revision.commit not in _were_in_force(store):
        _require_followed(store, mirror, policy, accepted, revision.commit)
    return revision


def _why_not_here(refused: RefusedTips, commit: str, missing: SourceError) -> SourceError:
    """Nothing that was refused is kept: why a commit was refused, or that it is not here."""
    known = refused.of(commit)
    if known is not None:
        return known
    tip = refused.last()
    if not tip:
        return missing
    return SourceError(
        f"{missing.what}; what was refused is not kept", where=missing.where, remedy=f"{_ONLY_THE_TIP}, which is {tip}"
    )


def _were_in_force(store: Store) -> set[str]:
    return {entry["revision"]["commit"] for entry in store.history() if entry["what"] in _IN_FORCE}


def _require_followed(store: Store, mirror: Mirror, policy: TrustPolicy, accepted: Accepted, commit: str) -> None:
    """Raise unless `commit` leads to the accepted head and its signature is good."""
    if not leads_to(mirror, commit, accepted.head):
        raise HistoryRefused(
            f"{commit} is not part of the history that this controller follows, up to {accepted.head}",
            remedy=_ONLY_THE_TIP,
        )
    try:
        verdicts = verify_commits(store, mirror, policy, (commit,), seen=True)
        require(judge(verdicts, UnsignedPolicy(policy.unsigned), policy.signers), commit)
        if commit != accepted.head:
            # The head was judged with all that came with it. What lies below it may never have been.
            require_every_scope(policy.scopes, commit, verdicts.get(commit), _NEVER_IN_FORCE)
    except SignatureRefused as refusal:
        raise SignatureRefused(refusal.what, where=refusal.where, remedy=_ONLY_THE_TIP) from refusal
