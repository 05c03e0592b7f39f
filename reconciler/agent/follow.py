"""Following the source: fetch, advance, verify, load, and end with the revision that should be in force.

Decides in this order, and each refusal keeps the last good revision in force:

1. remotes: those of the Source resource in force, then those of the node file, so that a wrong Source can be mended;
2. history: fast-forward only, from the last accepted commit (`hagit accept-history` is the way out);
3. signatures: every commit of the new range, by the stricter of node file and Source resource in force. Of the first
   range only the tip (`Advance.to_verify` says why);
4. content: load, lint, compile. A defective commit is accepted as history, so it never blocks the one that mends it;
5. a commit that was rolled back is blocked until another one comes that can be used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from reconciler.agent.content import Content, compile_content, keep_content, kept_content
from reconciler.agent.policy import Policy, policy_of
from reconciler.agent.selection import Selection
from reconciler.agent.store import Accepted, Store
from reconciler.core.facts.settings import SourcePolicy
from reconciler.core.status.revision import Revision
from reconciler.errors import HagitError, SourceError
from reconciler.system.files import read_json, write_json
from reconciler.system.git.history import advance, describe, position, replaces, signed_part
from reconciler.system.git.mirror import Fetched, Mirror
from reconciler.system.git.tree import read_tree
from reconciler.system.node import Node
from reconciler.system.signatures import (
    UnsignedPolicy,
    judge,
    remembered,
    require,
    to_remember,
    verify,
)
from reconciler.system.signing.verdict import Verdict, Verified

#: One remote may take this long; the whole search takes it once for each remote.
FETCH_S: Final = 20.0
VERIFY_S: Final = 60.0
LOCK_WAIT_S: Final = 30.0
BY_A_PERSON: Final = "accepted by a person on this controller"


def follow(node: Node, store: Store, mirror: Mirror) -> Selection:
    """Ask the source what should be in force, and record how far it was followed. Raises StateError."""
    with store.source_lock(wait_s=LOCK_WAIT_S):
        accepted = store.accepted()
        policy = policy_of(node, accepted)
        remotes: tuple[tuple[str, str], ...] = ()
        asked = tuple((str(remote), False) for remote in policy.remotes)
        try:
            fetched = mirror.fetch(policy.remotes, policy.branch, FETCH_S)
            remotes = tuple((str(refused.remote), refused.why.what) for refused in fetched.refused)
            asked = (*((remote, False) for remote, _ in remotes), (str(fetched.remote), True))
            head, notes, accepted = _accept(store, mirror, policy, accepted, fetched)
        except SourceError as refusal:
            store.accept(accepted)
            return replace(_keep(node, store, mirror, accepted, refusal, remotes), asked=asked)
        try:
            content, accepted = _load(node, store, mirror, policy, accepted, head)
        except HagitError as refusal:
            store.accept(accepted)
            return replace(_keep(node, store, mirror, accepted, refusal, remotes), head=head, asked=asked)
        if accepted.blocked is not None and accepted.blocked.commit != head:
            # Only a commit that can be used lifts the block: a defective one must not bring back what was rolled back.
            accepted = replace(accepted, blocked=None, pinned=None)
        store.accept(accepted)
        if accepted.blocked is not None:
            kept = _keep(node, store, mirror, accepted, None, remotes)
            why = f"{policy.branch}@{head[:7]} is blocked: {accepted.blocked.why}; it waits for another commit"
            return replace(kept, head=head, notes=(*notes, why), asked=asked)
        return Selection(accepted.good, content, head, None, remotes, notes, asked=asked)


def _accept(
    store: Store, mirror: Mirror, policy: Policy, accepted: Accepted, fetched: Fetched
) -> tuple[str, tuple[str, ...], Accepted]:
    """The head to use, sentences about it, and how far the source is now followed. Raises SourceError."""
    if fetched.commit == accepted.head:
        return accepted.head, (), accepted
    step = advance(mirror, accepted.head or None, fetched.commit, fallback=fetched.fallback)
    if step.behind:
        return accepted.head, (f"{fetched.remote} is behind what was accepted; it is left alone",), accepted
    verdicts = verdicts_of(store, mirror, policy, step.to_verify)
    judgement = judge(verdicts, UnsignedPolicy(policy.unsigned), policy.signers)
    require(judgement, step.head)
    notes = tuple(f"{commit[:7]} {why}" for commit, why in judgement.warned)
    return step.head, notes, replace(accepted, head=step.head, trust=_trust_words(verdicts.get(step.head)))


def verdicts_of(store: Store, mirror: Mirror, policy: Policy, commits: Sequence[str]) -> dict[str, Verdict]:
    """What the signature of each commit proves; what was verified before is remembered. Raises HagitError."""
    digest = policy.trust.digest()
    known = remembered(read_json(store.verified), digest)
    verdicts = verify(
        [signed_part(mirror, commit) for commit in commits], policy.trust, timeout_s=VERIFY_S, known=known
    )
    if any(isinstance(verdict, Verified) for verdict in verdicts.values()):
        write_json(store.verified, to_remember(known | verdicts, digest), sync=False)
    return verdicts


def _trust_words(verdict: Verdict | None) -> str:
    """What the verification found, in the form `_signer` reads back."""
    if isinstance(verdict, Verified):
        return f"signed by {verdict.principal} ({verdict.scheme.value})"
    return verdict.why if verdict is not None else ""


def _signer(words: str) -> str:
    return words.removeprefix("signed by ").rpartition(" (")[0] if words.startswith("signed by ") else ""


def _load(
    node: Node, store: Store, mirror: Mirror, policy: Policy, accepted: Accepted, head: str
) -> tuple[Content, Accepted]:
    """The content of the head, and the record with it as the good revision. Raises HagitError."""
    content = content_of(node, store, mirror, head)
    if accepted.good is not None and accepted.good.commit == head:
        return content, accepted
    revision = revision_of(mirror, policy.branch, head, accepted.trust)
    source = content.settings.source
    return content, replace(accepted, good=revision, policy=asdict(source) if source else None)


def content_of(node: Node, store: Store, mirror: Mirror, commit: str) -> Content:
    """The content of a commit that is in the mirror, kept or made anew. Raises HagitError."""
    content = kept_content(store, commit, node.controller)
    if content is None:
        content = compile_content(read_tree(mirror, commit), node.controller)
        content = replace(content, position=position(mirror, commit))
        keep_content(store, commit, content)
    return content


def revision_of(mirror: Mirror, branch: str, commit: str, trust: str = "") -> Revision:
    """A revision with its author, first line and signer."""
    info = describe(mirror, commit)
    return Revision(branch, info.id, info.author, info.summary, info.time_s, _signer(trust), trust)


def _keep(
    node: Node,
    store: Store,
    mirror: Mirror,
    accepted: Accepted,
    refusal: HagitError | None,
    remotes: tuple[tuple[str, str], ...],
) -> Selection:
    """The last good revision, or the one a rollback went back to."""
    revision = accepted.wanted
    if revision is None:
        return Selection(refusal=refusal, remotes=remotes)
    return Selection(revision, content_of(node, store, mirror, revision.commit), None, refusal, remotes)


def accept_history(node: Node, store: Store, mirror: Mirror, commit: str) -> Revision:
    """A person accepts a commit as the tip: the next look goes on from it. Raises SourceError when it is not there."""
    with store.source_lock(wait_s=LOCK_WAIT_S):
        accepted = store.accepted()
        policy = policy_of(node, accepted)
        tip = mirror.fetch(policy.remotes, policy.branch, FETCH_S).commit
        info = describe(mirror, commit)
        if info.id != tip:
            raise SourceError(
                f"{commit} is not the tip of {policy.branch}, which is {tip}",
                remedy=f"look at what the tip holds; then: hagit accept-history {tip}",
            )
        base = accepted.base + _given_up(mirror, accepted.head, info.id)
        accepted = replace(accepted, head=info.id, trust=BY_A_PERSON, base=base)
        if accepted.blocked is not None and accepted.blocked.commit == info.id:
            accepted = replace(accepted, blocked=None, pinned=None)
        store.accept(accepted)
    revision = revision_of(mirror, policy.branch, info.id, BY_A_PERSON)
    store.record_history("accepted", revision, why=BY_A_PERSON)
    return revision


def _given_up(mirror: Mirror, last: str, head: str) -> int:
    """How many commits of a history that is replaced count for those that come; 0 when it just goes on."""
    try:
        return position(mirror, last) if last and replaces(mirror, last, head) else 0
    except SourceError:
        # What was followed is no longer in the mirror: the highest generation seen keeps the orders rising.
        return 0


def interval_s(selection: Selection) -> float:
    """How long until the next look, in seconds."""
    source: SourcePolicy | None = selection.content.settings.source if selection.content else None
    return source.interval_s if source else 60.0


def local_remotes(policy: Policy) -> tuple[Path, ...]:
    """The remotes that are directories of this machine and can be watched."""
    return tuple(Path(remote.url) for remote in policy.remotes if remote.url.startswith("/"))
