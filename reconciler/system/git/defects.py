"""What libgit2 says, told in hagit's words: which exception of the one tree, what happened and what to do.

Knows libgit2's messages by their text, because it gives no other code for most of them. What it does not recognise
is passed on word for word. The texts are those of libgit2 1.9; the tests produce each of them for real.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pygit2

from reconciler.errors import HagitError, RemoteUnreachable, SourceError, StateError, UnsupportedSource

#: What libgit2 and the system raise for a repository: texts for its own errors, KeyError for a missing object.
GIT_TROUBLE = (pygit2.GitError, KeyError, ValueError, OSError)

_DISK = ("no space left", "disk quota exceeded", "input/output error")
_MEMORY = ("out of memory", "cannot allocate", "failed to mmap", "file too large", "map data")
_ABSENT = ("repository not found", "could not find repository", "does not appear to be a git repository", "code: 404")
_TEXT_CHARACTERS_MAX = 300
_SILENT = ("timed out", "timeout")
_UNREACHED = (
    "connection refused",
    "failed to connect",
    "failed to resolve address",
    "could not connect",
    "no route to host",
    "network is unreachable",
    "connection reset",
    "unexpected eof",
    "early eof",
    "remote hung up",
    "failed getting banner",
    "broken pipe",
)


def as_hagit_error(error: BaseException, where: str) -> HagitError:
    """The exception to raise instead of `error`. `where` names the remote or the repository."""
    if isinstance(error, HagitError):
        return error
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error).strip("'")
    # A server may choose these words, and a terminal will show them.
    text = "".join(letter if letter.isprintable() else " " for letter in said).strip()[:_TEXT_CHARACTERS_MAX]
    low = text.lower()
    if any(sign in low for sign in _MEMORY):
        return UnsupportedSource(
            f"to read it takes more memory or larger files than are allowed: {text}",
            where=where,
            remedy="keep only the desired state in this repository, and replace its history if it holds more",
        )
    if any(sign in low for sign in _DISK):
        return StateError(f"nothing can be written: {text}", where=where, remedy="make room on this filesystem")
    if "refstorage" in low or "unsupported extension" in low:
        return UnsupportedSource(
            f"the repository is kept in a form that libgit2 cannot read yet: {text}",
            where=where,
            remedy="reftable: git refs migrate --ref-format=files (git 2.46), or clone it anew and follow the clone",
        )
    if "object format" in low or "sha256" in low or "invalid oid" in low:
        return sha256(where)
    if "is not owned by" in low:
        return UnsupportedSource(
            "the repository belongs to another user, who could make git run their own commands",
            where=where,
            remedy="chown -R it to the user hagit runs as, or give a file it can reach by ssh:// or https://",
        )
    if isinstance(error, KeyError) or "object not found" in low or "no match for id" in low:
        return SourceError(
            f"the history is not complete: {text}",
            where=where,
            remedy="a shallow or partial clone cannot be followed, and a damaged one must be repaired: git fsck",
        )
    if "permission denied" in low or "read-only file system" in low:
        return StateError(f"no permission: {text}", where=where, remedy="check who owns the directory")
    if "ssl error: received early eof" in low:
        # What libgit2 says when the URL names an address and the certificate does not.
        return RemoteUnreachable(
            f"no encrypted connection: {text}",
            where=where,
            remedy="a URL with an IP address needs a certificate that names this address; use the server's name",
        )
    if any(sign in low for sign in _SILENT):
        return RemoteUnreachable(f"no answer in time: {text}", where=where)
    if any(sign in low for sign in _UNREACHED):
        return RemoteUnreachable(text, where=where)
    if any(sign in low for sign in _ABSENT):
        return SourceError("there is no repository", where=where, remedy="check the path in the URL")
    return SourceError(f"git says: {text}", where=where, remedy="if the repository is damaged: git fsck")


def sha256(where: str) -> UnsupportedSource:
    """The refusal of a repository whose objects are named by SHA-256."""
    return UnsupportedSource(
        "the repository names its objects by SHA-256, which libgit2 cannot read yet",
        where=where,
        remedy="make it anew with `git init --object-format=sha1` and commit the same files",
    )


@contextmanager
def hagit_errors(where: str) -> Iterator[None]:
    """Whatever git raises inside comes out as one of hagit's exceptions, with `where`."""
    try:
        yield
    except GIT_TROUBLE as error:
        raise as_hagit_error(error, where) from error
