"""What is new on the followed branch, and whether it may be followed: fast-forward only.

Decides by ancestry alone. A head that does not descend from the last accepted commit is refused, because a person who
can rewind a branch could otherwise bring back any old state. The last accepted commit is remembered by the caller; a
person changes it on purpose with `hagit accept-history`. It does not know signatures.
"""

from __future__ import annotations

from dataclasses import dataclass

import pygit2
from pygit2.enums import SortMode

from reconciler.errors import HistoryRefused, UnsupportedSource
from reconciler.printing import cut
from reconciler.system.git.defects import hagit_errors
from reconciler.system.git.mirror import Mirror
from reconciler.system.git.quarantine import COMMITS_MAX
from reconciler.system.signing.verdict import SignedPart

SHORT_DIGITS = 7
_SUMMARY_CHARACTERS_MAX = 200
#: Trailers stand at the end of a message; more of it is of no use.
_MESSAGE_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """A commit as people name it. `time_s` is the committer's clock, seconds since 1970; `author` may be empty."""

    id: str
    short: str
    author: str
    email: str
    time_s: int
    summary: str
    parents: tuple[str, ...]
    message: str = ""


@dataclass(frozen=True, slots=True)
class Advance:
    """What `head` brings beyond the last accepted commit, oldest first; every parent stands before its children.

    `first`: nothing was accepted before, so all of the history is new. `behind`: a fallback remote lags behind what
    was accepted, so there is nothing to do.
    """

    head: str
    commits: tuple[CommitInfo, ...]
    first: bool = False
    behind: bool = False

    @property
    def to_verify(self) -> tuple[str, ...]:
        """The commits whose signatures count: all new ones, but only the head when a history is adopted.

        The signature of a head covers every byte of its tree, so it vouches for the state. The commits
        before it were made under no such rule, so the rule is not applied to them.
        """
        return (self.head,) if self.first else tuple(commit.id for commit in self.commits)


def describe(mirror: Mirror, commit_id: str) -> CommitInfo:
    """Who, when and why of one commit. Raises SourceError when it is not in the mirror."""
    return _info(mirror.commit(commit_id))


def advance(mirror: Mirror, last: str | None, head: str, *, fallback: bool = False) -> Advance:
    """The commits reachable from `head` and not from `last`, both full ids; `last` None: nothing accepted yet.

    Raises HistoryRefused for a rewound or replaced branch, UnsupportedSource for more than 10,000 commits, SourceError
    for damaged objects. With `fallback` (`Fetched.fallback`) an older head is a lagging copy and no rewind.
    """
    newest = mirror.commit(head)
    if last == head:
        return Advance(head, ())
    if last is not None:
        accepted = mirror.commit(last)
        with hagit_errors(str(mirror.path)):
            if mirror.repository.descendant_of(accepted.id, newest.id):
                if fallback:
                    return Advance(head, (), behind=True)
                raise _refused("was rewound", last, head)
            if not mirror.repository.descendant_of(newest.id, accepted.id):
                raise _refused("was replaced", last, head)
    with hagit_errors(str(mirror.path)):
        walker = mirror.repository.walk(newest.id, SortMode.TOPOLOGICAL | SortMode.REVERSE)
        if last is not None:
            walker.hide(last)
        commits: list[CommitInfo] = []
        for commit in walker:
            commits.append(_info(commit))
            if len(commits) > COMMITS_MAX:
                raise UnsupportedSource(
                    f"more than {COMMITS_MAX} commits are new at once",
                    where=str(mirror.path),
                    remedy=f"look at them, then: hagit accept-history {head}",
                )
    return Advance(head, tuple(commits), first=last is None)


def position(mirror: Mirror, commit_id: str) -> int:
    """How many commits are reachable from this one, itself included: rises with every fast-forward, merges too."""
    newest = mirror.commit(commit_id)
    with hagit_errors(str(mirror.path)):
        return sum(1 for _ in mirror.repository.walk(newest.id, SortMode.NONE))


def replaces(mirror: Mirror, last: str, head: str) -> bool:
    """Whether `head` is no descendant of `last`: the history was rewound or replaced."""
    return not leads_to(mirror, last, head)


def leads_to(mirror: Mirror, commit: str, head: str) -> bool:
    """Whether `commit` is `head` or one of its ancestors."""
    older, newest = mirror.commit(commit), mirror.commit(head)
    with hagit_errors(str(mirror.path)):
        return older.id == newest.id or mirror.repository.descendant_of(newest.id, older.id)


def signed_part(mirror: Mirror, commit_id: str) -> SignedPart:
    """What a verifier needs of one commit. Raises SourceError when it cannot be read."""
    commit = mirror.commit(commit_id)
    with hagit_errors(f"commit {commit_id}"):
        parts: tuple[bytes | None, bytes | None] = commit.gpg_signature
        signature, payload = parts
        return SignedPart(str(commit.id), signature, payload or b"", commit.commit_time)


def _info(commit: pygit2.Commit) -> CommitInfo:
    full = str(commit.id)
    summary = commit.raw_message.decode(errors="replace").strip().partition("\n")[0]
    author = commit.author
    return CommitInfo(
        full,
        full[:SHORT_DIGITS],
        cut(author.raw_name.decode(errors="replace")),
        cut(author.raw_email.decode(errors="replace")),
        commit.commit_time,
        summary[:_SUMMARY_CHARACTERS_MAX],
        tuple(str(parent) for parent in commit.parent_ids),
        commit.raw_message[-_MESSAGE_BYTES_MAX:].decode(errors="replace"),
    )


def _refused(what: str, last: str, head: str) -> HistoryRefused:
    return HistoryRefused(
        f"the branch {what}: its head {head} does not descend from {last}, which was accepted last",
        remedy=f"if that is meant: hagit accept-history {head}; if not, restore the branch to {last} or later",
    )
