"""Select the revision that should be in force: fetch the source, advance, verify, load.

In this order; each refusal keeps the last good revision in force:

1. remotes: those of the Source resource in force, then those of the node file, so that a wrong Source can be corrected;
2. history: fast-forward only, from the last accepted commit (`hagit accept-history` accepts another one);
3. signatures: every commit of the new range, by the stricter of node file and Source resource in force. Of the first
   range only the tip (`Advance.to_verify` says why). Each commit changes only what its signer may
   (`agent/source/signer_scopes`);
4. content: load, lint, compile. A defective commit is accepted as history, so it never blocks its correction;
5. block: a commit that was rolled back is blocked until another usable one comes.

In a repository of many pairs the revision is the newest commit that changed the folder of this pair
(`system/git/folder`): commits that change other folders alone are verified and accepted, and make no new revision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from reconciler.agent.source.commit_trailers import require_addressed
from reconciler.agent.source.content import (
    Content,
    cache_complaints,
    cache_content,
    cached_content,
    compile_content,
    require_no_cached_complaints,
)
from reconciler.agent.source.pair_folder import pair_folder
from reconciler.agent.source.reception import Relay, received_source
from reconciler.agent.source.refused_tips import RefusedTips, refused_tips
from reconciler.agent.source.selection import Selection
from reconciler.agent.source.signer_scopes import judged_range, require_scopes
from reconciler.agent.source.trust_policy import TrustPolicy, trust_policy_in_force
from reconciler.agent.store import AcceptedHistory, Store
from reconciler.core.facts.settings import SourcePolicy, UnsignedPolicy
from reconciler.core.status.revision import Revision
from reconciler.errors import (
    ConfigurationError,
    HagitError,
    HistoryRefused,
    SignatureRefused,
    SourceError,
    StateError,
    UnsupportedSource,
)
from reconciler.system.clock import monotonic_s, wall_s
from reconciler.system.files import read_json, write_json
from reconciler.system.git.folder import changes_folder, newest_change, read_folder
from reconciler.system.git.history import Advance, advance, describe, position, replaces, signed_part
from reconciler.system.git.mirror import FetchedSource, Mirror
from reconciler.system.node import Node
from reconciler.system.signatures import (
    Judgement,
    judge,
    remembered,
    require,
    to_remember,
    verify,
)
from reconciler.system.signing.verdict import Unverifiable, Verdict, Verified

#: Time limit for one remote.
FETCH_S: Final = 20.0
#: Limits of one poll on the time and number of verifications, and the size of a batch.
VERIFY_S: Final = 20.0
VERIFY_MAX: Final = 512
VERIFY_BATCH: Final = 16
#: Number of tries when another process follows the source at the same time.
TRIES_MAX: Final = 3
LOCK_WAIT_S: Final = 30.0
BY_A_PERSON: Final = "accepted by a person on this controller"


def select_revision(node: Node, store: Store, mirror: Mirror, relay: Relay | None = None) -> Selection:
    """Poll the source, select the revision that should be in force, and record how far the source was followed.

    `relay`: asks the peer when no remote answers. Fetching, verifying and compiling hold no lock. When another process
    followed the source meanwhile, poll again.
    Raises StateError.
    """
    for _ in range(TRIES_MAX):
        accepted = store.accepted()
        selection, followed = _poll(node, store, mirror, accepted, relay)
        with store.source_lock(wait_s=LOCK_WAIT_S):
            if store.accepted() == accepted:
                store.accept(followed)
                return selection
    raise StateError("another process follows the source at the same time", where=str(store.root), remedy="try again")


def _poll(
    node: Node, store: Store, mirror: Mirror, accepted: AcceptedHistory, relay: Relay | None
) -> tuple[Selection, AcceptedHistory]:
    """The selection of one poll, and how far the source is followed after it."""
    policy = trust_policy_in_force(node, accepted)
    remotes: tuple[tuple[str, str], ...] = ()
    tried = tuple((str(remote), False) for remote in policy.remotes)
    refused = refused_tips(store.root, policy, accepted)
    try:
        with received_source(mirror, policy, accepted.head, refused.tips(), relay, FETCH_S) as received:
            fetched = received.fetched
            remotes = tuple((str(refused.remote), refused.why.what) for refused in fetched.refused)
            tried = (*((remote, False) for remote, _ in remotes), (str(fetched.remote), True))
            if accepted.head and accepted.folder != policy.folder:
                raise folder_changed(accepted, policy, fetched.commit)
            head, notes, accepted = _accept(node, store, policy, accepted, received, refused)
    except SourceError as refusal:
        if isinstance(refusal, UnsupportedSource):
            refused.remember(refusal.tip, refusal)
        return replace(_keep_last_good(node, store, mirror, accepted, refusal, remotes), tried_remotes=tried), accepted
    state = head
    try:
        state = newest_change(mirror, head, pair_folder(accepted.folder), _known_state(accepted))
        content, accepted = _load(node, store, mirror, policy, accepted, head, state)
    except HagitError as refusal:
        kept = _keep_last_good(node, store, mirror, accepted, refusal, remotes)
        return replace(kept, head=head, refused_state=state, tried_remotes=tried), accepted
    if accepted.blocked is not None and accepted.good is not None and accepted.blocked.commit != accepted.good.commit:
        # Only a usable commit lifts the block: a defective one must not restore the revision that was rolled back.
        accepted = replace(accepted, blocked=None, pinned=None)
    if accepted.blocked is not None:
        kept = _keep_last_good(node, store, mirror, accepted, None, remotes)
        blocked = accepted.blocked
        why = f"{policy.branch}@{blocked.commit[:7]} is blocked: {blocked.why}; it waits for another commit"
        return replace(kept, head=head, notes=(*notes, why), tried_remotes=tried), accepted
    return Selection(accepted.good, content, head, None, remotes, notes, tried_remotes=tried), accepted


def _accept(
    node: Node,
    store: Store,
    policy: TrustPolicy,
    accepted: AcceptedHistory,
    received: FetchedSource,
    refused: RefusedTips,
) -> tuple[str, tuple[str, ...], AcceptedHistory]:
    """The head to use, notes about it, and how far the source is followed now. Raises SourceError."""
    fetched = received.fetched
    if fetched.commit == accepted.head:
        # The mirror may be new: keep the fetched commits.
        received.keep()
        return accepted.head, (), accepted
    known = refused.of(fetched.commit)
    if known is not None:
        raise known
    verdicts: dict[str, Verdict] = {}
    try:
        tip, fallback = fetched.commit, fetched.fallback
        step, judgement = judge_range(
            node, store, policy, accepted, received.repository, tip, verdicts, fallback=fallback
        )
        if step.behind:
            return accepted.head, (f"{fetched.remote} is behind what was accepted; it is left alone",), accepted
    except (HistoryRefused, SignatureRefused, UnsupportedSource) as refusal:
        # A tool that was missing or too slow may succeed the next time.
        if not any(isinstance(verdict, Unverifiable) for verdict in verdicts.values()):
            refused.remember(fetched.commit, refusal)
        raise
    received.keep()
    notes = tuple(f"{commit[:7]} {why}" for commit, why in judgement.warned)
    trust = _trust_words(verdicts.get(step.head))
    return step.head, notes, replace(accepted, head=step.head, trust=trust, folder=policy.folder)


def _known_state(accepted: AcceptedHistory) -> tuple[str, str] | None:
    """An earlier head, and the commit that its state goes back to."""
    good = accepted.good
    return (accepted.good_head, good.commit) if good is not None and good.folder == accepted.folder else None


def folder_changed(accepted: AcceptedHistory, policy: TrustPolicy, tip: str = "TIP") -> HistoryRefused:
    """The refusal of another folder than the one that was followed: nothing in it was judged here."""
    followed, named = (
        f"the folder {path}" if path else "the whole repository" for path in (accepted.folder, policy.folder)
    )
    return HistoryRefused(
        f"the node file names {named} as this pair's, and this controller has followed {followed}",
        remedy=f"if that is meant: hagit accept-history {tip}; if not, correct path in [source] of the node file",
    )


def judge_range(
    node: Node,
    store: Store,
    policy: TrustPolicy,
    accepted: AcceptedHistory,
    repository: Mirror,
    tip: str,
    verdicts: dict[str, Verdict],
    *,
    fallback: bool = False,
) -> tuple[Advance, Judgement]:
    """The step from the last accepted commit to `tip`, judged by history, signatures and scopes. Fills `verdicts`.

    The one judgement of new commits, whichever way they came. Raises HistoryRefused, SignatureRefused,
    UnsupportedSource.
    """
    step = advance(repository, accepted.head or None, tip, fallback=fallback)
    if step.behind:
        return step, Judgement((), ())
    folder = pair_folder(policy.folder)
    state = newest_change(repository, step.head, folder, _known_state(accepted))
    require_addressed(step, node.trust, policy.branch, state, lambda commit: changes_folder(repository, commit, folder))
    judged = judged_range(repository, step, policy)
    verdicts |= verify_commits(store, repository, policy, judged.to_verify)
    judgement = judge(verdicts, policy.unsigned, policy.signers)
    require(judgement, step.head)
    require_scopes(store, repository, policy.scopes, judged, verdicts, folder)
    return step, judgement


def verify_commits(
    store: Store, mirror: Mirror, policy: TrustPolicy, commits: Sequence[str], *, seen: bool = False
) -> dict[str, Verdict]:
    """The verdict on the signature of each commit, oldest first. Good verdicts are remembered.

    A new commit is judged at the present time, because its own date is the author's claim: an expired key signs nothing
    new, whatever date it writes. With `seen` the commit was followed before, and is judged at its own date.

    The newest are verified first, in batches, and none after a batch with a refused one: a range that cannot be
    followed costs one batch, however long it is. Raises SourceError when a range needs more than one poll; the verdicts
    so far count in the next one.
    """
    digest = policy.trust.digest()
    known = remembered(read_json(store.verified), digest)
    left = [commit for commit in reversed(commits) if commit not in known]
    verdicts: dict[str, Verdict] = {commit: known[commit] for commit in commits if commit in known}
    deadline_s = monotonic_s() + VERIFY_S
    checked = 0
    while left and checked < VERIFY_MAX and monotonic_s() < deadline_s:
        batch, left = left[:VERIFY_BATCH], left[VERIFY_BATCH:]
        checked += len(batch)
        parts = [signed_part(mirror, commit) for commit in batch]
        if not seen:
            parts = [replace(part, time_s=int(wall_s())) for part in parts]
        verdicts |= verify(parts, policy.trust, timeout_s=max(0.0, deadline_s - monotonic_s()))
        if judge(verdicts, policy.unsigned, policy.signers).refused:
            left = []
    if any(commit not in known and isinstance(verdict, Verified) for commit, verdict in verdicts.items()):
        write_json(store.verified, to_remember(known | verdicts, digest), sync=False)
    if left and policy.unsigned is UnsignedPolicy.REFUSE:
        raise SourceError(
            f"{len(left)} of {len(commits)} new commits are still to be verified; the next poll continues"
        )
    return {commit: verdicts[commit] for commit in commits if commit in verdicts}


def _trust_words(verdict: Verdict | None) -> str:
    """The verdict in words, from which `_signer` reads the principal."""
    if isinstance(verdict, Verified):
        return f"signed by {verdict.principal} ({verdict.scheme.value})"
    return verdict.why if verdict is not None else ""


def _signer(words: str) -> str:
    return words.removeprefix("signed by ").rpartition(" (")[0] if words.startswith("signed by ") else ""


def _load(
    node: Node, store: Store, mirror: Mirror, policy: TrustPolicy, accepted: AcceptedHistory, head: str, state: str
) -> tuple[Content, AcceptedHistory]:
    """The content of the head, whose state is that of the commit `state`, and the record with it as the good revision.

    Raises HagitError.
    """
    folder, good = accepted.folder, accepted.good
    content = load_content(node, store, mirror, state, folder)
    if good is not None and (good.commit, good.folder) == (state, folder):
        return content, replace(accepted, usable=head)
    revision = replace(_state_revision(store, mirror, policy, accepted, state), folder=folder)
    source = content.settings.source
    return content, replace(accepted, good=revision, usable=head, policy=asdict(source) if source else None)


def _state_revision(
    store: Store, mirror: Mirror, policy: TrustPolicy, accepted: AcceptedHistory, state: str
) -> Revision:
    """The revision of the state of the accepted head. The signature of a head covers the states before it."""
    if state == accepted.head:
        return revision_of(mirror, policy.branch, state, accepted.trust)
    verdict = remembered(read_json(store.verified), policy.trust.digest()).get(state)
    if verdict is not None:
        return revision_of(mirror, policy.branch, state, _trust_words(verdict))
    found = revision_of(mirror, policy.branch, state, accepted.trust)
    return replace(found, signature=f"{accepted.head[:7]} above it: {found.signature}" if found.signature else "")


def candidate_content(
    node: Node, policy: TrustPolicy, accepted: AcceptedHistory, repository: Mirror, tip: str
) -> tuple[str, Content]:
    """The commit to which the state of a commit that is not followed yet goes back, and its content.

    Caches nothing. Raises HagitError.
    """
    folder = pair_folder(policy.folder)
    state = newest_change(repository, tip, folder, _known_state(accepted))
    content = compile_content(read_folder(repository, state, folder), node.controller, policy.folder)
    return state, replace(content, position=position(repository, state))


def load_content(node: Node, store: Store, mirror: Mirror, commit: str, folder: str = "") -> Content:
    """The content of a folder in a commit of the mirror, from the cache or compiled now. Raises HagitError.

    The complaints about a defective one are cached, too, so that it is parsed once.
    """
    content = cached_content(store, commit, node.controller, folder)
    if content is None:
        require_no_cached_complaints(store, commit, node.controller, folder)
        try:
            content = compile_content(read_folder(mirror, commit, pair_folder(folder)), node.controller, folder)
        except ConfigurationError as error:
            cache_complaints(store, commit, node.controller, error, folder)
            raise
        content = replace(content, position=position(mirror, commit))
        cache_content(store, commit, content, folder)
    return content


def revision_of(mirror: Mirror, branch: str, commit: str, trust: str = "") -> Revision:
    """A revision with its author, first line and signer."""
    info = describe(mirror, commit)
    return Revision(branch, info.id, info.author, info.summary, info.time_s, _signer(trust), trust)


def _keep_last_good(
    node: Node,
    store: Store,
    mirror: Mirror,
    accepted: AcceptedHistory,
    refusal: HagitError | None,
    remotes: tuple[tuple[str, str], ...],
) -> Selection:
    """Keep the last good revision, or the one that a rollback restored."""
    revision = accepted.wanted
    if revision is None:
        return Selection(refusal=refusal, failed_remotes=remotes)
    return Selection(
        revision, load_content(node, store, mirror, revision.commit, revision.folder), None, refusal, remotes
    )


def accept_history(node: Node, store: Store, mirror: Mirror, commit: str) -> Revision:
    """Accept a commit for the operator: the next poll goes on from it. Raises SourceError when it is not the tip."""
    policy = trust_policy_in_force(node, store.accepted())
    with mirror.receive(policy.remotes, policy.branch, FETCH_S) as received:
        tip, here = received.fetched.commit, received.repository
        info = describe(here, commit)
        if info.id != tip:
            raise SourceError(
                f"{commit} is not the tip of {policy.branch}, which is {tip}",
                remedy=f"look at what the tip holds; then: hagit accept-history {tip}",
            )
        received.keep()
    with store.source_lock(wait_s=LOCK_WAIT_S):
        accepted = store.accepted()
        base = accepted.base + _replaced_count(mirror, accepted.head, info.id)
        state = newest_change(mirror, info.id, pair_folder(policy.folder))
        accepted = replace(accepted, head=info.id, trust=BY_A_PERSON, base=base, folder=policy.folder)
        if accepted.blocked is not None and accepted.blocked.commit == state:
            accepted = replace(accepted, blocked=None, pinned=None)
        store.accept(accepted)
    revision = revision_of(mirror, policy.branch, info.id, BY_A_PERSON)
    store.record_history("accepted", revision, why=BY_A_PERSON)
    return revision


def _replaced_count(mirror: Mirror, last: str, head: str) -> int:
    """Number of commits of a replaced history, which generations of orders must exceed; 0 when the history goes on."""
    try:
        return position(mirror, last) if last and replaces(mirror, last, head) else 0
    except SourceError:
        # The followed history is no longer in the mirror: the highest generation seen keeps the orders rising.
        return 0


def interval_s(selection: Selection) -> float:
    """Seconds until the next poll."""
    source: SourcePolicy | None = selection.content.settings.source if selection.content else None
    return source.interval_s if source else 60.0


def local_remotes(policy: TrustPolicy) -> tuple[Path, ...]:
    """The remotes that are local directories and can be watched."""
    return tuple(Path(remote.url) for remote in policy.remotes if remote.url.startswith("/"))
