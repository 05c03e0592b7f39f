"""A repository for a beginner: made, filled and committed in one go.

Decides only that nothing which is already there is overwritten. Commits are signed where git itself would sign them
(`commit.gpgsign`). It does not know what the files say.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import pygit2

from reconciler.errors import UsageError
from reconciler.system import process
from reconciler.system.git.defects import hagit_errors

#: A key may ask for its passphrase, or a card for its PIN.
SIGN_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Author:
    """Who stands in a commit that hagit makes for a person."""

    name: str
    email: str


def create_repository(
    path: Path, files: Mapping[str, bytes], author: Author, message: str, branch: str, signing_key: Path | None = None
) -> str:
    """Make a repository at `path` with `files` in its first commit on `branch`; the full id of that commit.

    With `signing_key` (an SSH key) this commit is signed, and git is told to sign every later one in this repository.
    Raises UsageError when there is a repository or one of the files already, and StateError for the disk.
    """
    if (path / ".git").exists() or (path / "HEAD").is_file():
        raise UsageError("there is a repository already", where=str(path), remedy="choose another directory")
    for name in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UsageError(f"'{name}' lies outside the repository", where=str(path))
        if (path / name).exists():
            raise UsageError("this file is there already", where=str(path / name), remedy="choose another directory")
    with hagit_errors(str(path)):
        path.mkdir(parents=True, exist_ok=True)
        repository = pygit2.init_repository(str(path), initial_head=branch)
        if signing_key is not None:
            repository.config["gpg.format"] = "ssh"
            repository.config["user.signingkey"] = str(signing_key)
            repository.config["commit.gpgsign"] = "true"
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
            repository.index.add(name)
        repository.index.write()
        return _commit(repository, f"refs/heads/{branch}", author, message)


def commit_files(path: Path, files: Mapping[str, bytes], author: Author, message: str) -> str:
    """Write `files` into the repository at `path` and commit them, and nothing else, on its current branch."""
    with hagit_errors(str(path)):
        repository = pygit2.Repository(str(path))
        repository.index.read()
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
            repository.index.add(name)
        repository.index.write()
        return _commit(repository, "HEAD", author, message)


def default_author() -> Author:
    """The author that git itself would take (user.name, user.email); empty where it knows none."""
    try:
        config = pygit2.Config.get_global_config()
    except OSError:
        return Author("", "")
    with hagit_errors("~/.gitconfig"):
        # A Config has no `get`.
        known = {name: config[name] or "" for name in ("user.name", "user.email") if name in config}
    return Author(known.get("user.name", ""), known.get("user.email", ""))


def _commit(repository: pygit2.Repository, reference: str, author: Author, message: str) -> str:
    signature = pygit2.Signature(author.name, author.email, int(time.time()), -time.timezone // 60)
    parents = [] if repository.head_is_unborn else [repository.head.target]
    tree = repository.index.write_tree()
    argv = _signer(repository)
    if argv is None:
        return str(repository.create_commit(reference, signature, signature, message, tree, parents))
    # Its annotations say Oid; it is the text of the commit.
    content = str(repository.create_commit_string(signature, signature, message, tree, parents))
    commit = repository.create_commit_with_signature(content, _signature(argv, content))
    target = repository.lookup_reference("HEAD").target if reference == "HEAD" else reference
    repository.references.create(str(target), commit, force=True)
    return str(commit)


def _signer(repository: pygit2.Repository) -> list[str] | None:
    """The program that signs its input, by git's own configuration (gpg.format, user.signingkey); None: unsigned."""
    config = repository.config
    if "commit.gpgsign" not in config or not config.get_bool("commit.gpgsign"):
        return None
    key = (config["user.signingkey"] or "") if "user.signingkey" in config else ""
    if "gpg.format" in config and config["gpg.format"] == "ssh":
        return ["ssh-keygen", "-Y", "sign", "-n", "git", "-f", str(Path(key).expanduser())]
    return ["gpg", "--batch", "--armor", "--detach-sign", *(["--local-user", key] if key else [])]


def _signature(argv: list[str], content: str) -> str:
    outcome = process.run(argv, stdin=content.encode(), timeout_s=SIGN_TIMEOUT_S)
    if isinstance(outcome, process.Finished) and outcome.code == 0 and outcome.stdout.startswith(b"-----BEGIN"):
        return outcome.stdout.decode()
    words = outcome.stderr.decode(errors="replace").strip() if isinstance(outcome, process.Finished) else str(outcome)
    raise UsageError(
        f"the commit cannot be signed: {words[:300]}", where=argv[0], remedy="check user.signingkey in git"
    )
