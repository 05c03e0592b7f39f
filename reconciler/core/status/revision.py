"""A revision: one commit of the followed branch, with who asked for it and whose signature was found good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Revision:
    """`main@3f2c1ab`: a commit id (40 hex digits), its branch, author, first line, time (epoch seconds), signer.

    `signer` is the principal whose signature was verified, empty when there is none; `signature` says in words what
    the verification found. `folder`: the folder of the pair in a repository of many, which this commit changed; empty
    for the whole repository.
    """

    branch: str
    commit: str
    author: str = ""
    summary: str = ""
    time_s: int = 0
    signer: str = ""
    signature: str = ""
    folder: str = ""

    def same_state(self, other: Revision) -> bool:
        """Whether two revisions are the same files of the same commit."""
        return (self.commit, self.folder) == (other.commit, other.folder)

    @property
    def name(self) -> str:
        """The short form for people: branch and seven digits."""
        return f"{self.branch}@{self.commit[:7]}"

    @property
    def full_name(self) -> str:
        """Branch and whole commit id, for plans and files."""
        return f"{self.branch}@{self.commit}"


def revision_document(revision: Revision) -> dict[str, Any]:
    """The JSON form; without a folder where there is none, as older releases write it."""
    document = asdict(revision)
    return document if revision.folder else {key: value for key, value in document.items() if key != "folder"}


def revision_from_document(document: Mapping[str, Any]) -> Revision:
    """The revision in a JSON document; unknown keys are passed over, so that an older hagit reads a newer file."""
    known = {key: document[key] for key in Revision.__dataclass_fields__ if key in document}
    return Revision(**known)
