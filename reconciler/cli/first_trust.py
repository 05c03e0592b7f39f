"""Whose signatures count on a new controller: what `hagit init` asks, makes and writes into [trust].

Trust has no silent default. The operator names an SSH key, has one made here, or says that unsigned commits are
followed. This module writes allowed_signers and keys beside the node file and never overwrites a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reconciler.cli.terminal import ask_text
from reconciler.errors import UsageError
from reconciler.system import process
from reconciler.system.files import PUBLIC, PUBLIC_DIRECTORY, make_directory, open_regular, write_named
from reconciler.system.git.commit_writer import Author

MAKE: Final = "make"
#: The word that the operator types to follow unsigned commits.
UNSIGNED: Final = "unsigned"
#: The word of earlier releases.
_UNSIGNED_BEFORE: Final = "nobody"
SIGNERS_FILE: Final = "allowed_signers"
KEY_FILE: Final = "signing_key"
_KEY_BYTES_MAX: Final = 64 << 10
_KINDS: Final = ("ssh-", "ecdsa-", "sk-")


@dataclass(frozen=True, slots=True)
class FirstTrust:
    """The [trust] table of the new node file, and the key that signs in the new repository, if there is one."""

    table: dict[str, str] = field(default_factory=dict)
    signing_key: Path | None = None


def choose_trust(*, joins: bool, quiet: bool, signer: Path | None, accept_unsigned: bool) -> str:
    """MAKE, UNSIGNED, or the file of a signer. Raises UsageError if the choice is open and there is no terminal."""
    if signer is not None and accept_unsigned:
        raise UsageError("--signer and --accept-unsigned exclude each other", remedy="leave one out")
    if signer is not None:
        return str(signer)
    if accept_unsigned:
        return UNSIGNED
    if not quiet:
        print("hagit follows only signed commits: otherwise everyone who can push is root here.")
        offered = "the file of an SSH public key or of allowed signers"
        offered += f", or `{UNSIGNED}`" if joins else f", `{MAKE}` (a key is made here), or `{UNSIGNED}`"
        answer = ask_text(f"Who signs? {offered}", "" if joins else MAKE)
        if answer:
            return answer
    elif not joins:
        return MAKE
    raise UsageError(
        "this repository is there already, so it must be said whose signatures count",
        remedy=f"--signer FILE (an SSH public key, or {SIGNERS_FILE} of the other controller), or --accept-unsigned",
    )


def prepare_trust(choice: str, beside: Path, author: Author) -> FirstTrust:
    """Make the files for a choice in the directory `beside`. Raises UsageError for a file that is no key, or exists."""
    if choice in (UNSIGNED, _UNSIGNED_BEFORE):
        return FirstTrust({"unsigned": "accept"})
    signers = beside / SIGNERS_FILE
    if choice == MAKE:
        public = _make_key(beside / KEY_FILE, author.email)
    else:
        public = Path(choice).expanduser().absolute()
    text = _content(public)
    if public != signers:
        if signers.exists():
            raise UsageError("there is such a file already", where=str(signers), remedy=f"name it: --signer {signers}")
        make_directory(beside, PUBLIC_DIRECTORY)
        if text.startswith(_KINDS):
            kind, key = text.split()[:2]
            text = f'{author.email} namespaces="git" {kind} {key}\n'
        write_named(signers, text.encode(), mode=PUBLIC)
    private = public.with_suffix("")
    signs = public.suffix == ".pub" and private.is_file()
    return FirstTrust({"allowed_signers": SIGNERS_FILE}, private if signs else None)


def _make_key(path: Path, comment: str) -> Path:
    """Make a key without a passphrase; returns the file of its public half. Raises UsageError."""
    if path.exists():
        raise UsageError("there is a key already", where=str(path), remedy=f"name it: --signer {path}.pub")
    make_directory(path.parent, PUBLIC_DIRECTORY)
    outcome = process.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)], timeout_s=20.0
    )
    if not isinstance(outcome, process.Finished) or outcome.code != 0:
        raise UsageError("ssh-keygen could not make a key", where=str(path), remedy="apt-get install openssh-client")
    print(f"Made     {path}, the key that signs commits. Move it to where commits are written; keep it secret.")
    return path.with_suffix(".pub")


def _content(path: Path) -> str:
    """The public key or the signers in a file. Raises UsageError for a file that ssh-keygen would refuse."""
    try:
        with open_regular(path) as file:
            text = file.read(_KEY_BYTES_MAX).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(path), remedy="name the file of a public key") from error
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines or "PRIVATE KEY" in text or not all(_names_a_key(line) for line in lines):
        raise UsageError(
            "this is neither an SSH public key nor a file of allowed signers",
            where=str(path),
            remedy="name a file like id_ed25519.pub: ssh-keygen(1), ALLOWED SIGNERS",
        )
    if text.startswith(_KINDS) and len(lines) > 1:
        raise UsageError(
            "this holds several public keys", where=str(path), remedy=f"write {SIGNERS_FILE} and name that"
        )
    return text


def _names_a_key(line: str) -> bool:
    words = line.split()
    return any(word.startswith(_KINDS) and at + 1 < len(words) for at, word in enumerate(words))
