"""Where a fetch lands: a repository of its own that lives as long as one look at the source, beside the mirror.

*Nothing that was refused stays*: the quarantine is removed with everything in it, and only what was accepted is moved
into the mirror. It reads the mirror's objects as its alternates, so a fetch transfers no more than what is new. Each
fetch has its own, so no process waits for the fetch of another one; the mirror's lock is held for the move alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pygit2

from reconciler.system.files import Lock
from reconciler.system.git.defects import as_hagit_error, hagit_errors
from reconciler.system.git.packs import merge_packs

#: The last tip that was accepted; in a quarantine: the tip that was received.
HEAD_REF: Final = "refs/hagit/head"
#: Tips that were replaced stay here, so that a revision that was in force never loses its objects.
KEPT_REFS: Final = "refs/hagit/kept/"
#: Where quarantines are, in the directory of the mirror.
FOLDER: Final = "quarantine"
#: What a process that was killed left behind is removed when it is older than this.
LEFTOVER_S: Final = 60.0
#: As many commits may be new at once.
COMMITS_MAX: Final = 10_000
#: In the directory of the mirror: one process at a time moves commits there.
LOCK: Final = "hagit.lock"


@contextmanager
def quarantine(mirror: Path) -> Iterator[Path]:
    """A bare repository that sees the objects of `mirror` and names its head; removed at the end. Raises StateError."""
    folder = mirror / FOLDER
    path = folder / secrets.token_hex(8)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        _sweep_folder(folder)
        path.mkdir(mode=0o700)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise as_hagit_error(error, str(folder)) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with hagit_errors(str(path)):
            fresh = pygit2.init_repository(str(path), bare=True)
            (path / "objects" / "info").mkdir(exist_ok=True)
            (path / "objects" / "info" / "alternates").write_text(f"{(mirror / 'objects').absolute()}\n")
            del fresh
            known = target(pygit2.Repository(str(mirror)), HEAD_REF)
            if known is not None:
                pygit2.Repository(str(path)).references.create(HEAD_REF, known, force=True)
        yield path
    finally:
        os.close(descriptor)
        shutil.rmtree(path, ignore_errors=True)


def keep(mirror: Path, received: Path, deadline_s: float) -> None:
    """Move what a quarantine holds into the mirror, whose head is its tip then. Raises StateError, SourceError."""
    wait_s = max(0.0, deadline_s - time.monotonic())
    with Lock(mirror / LOCK, "hagit, keeping what was fetched", wait_s=wait_s), hagit_errors(str(mirror)):
        _sweep(mirror)
        repository = pygit2.Repository(str(mirror))
        tip = target(pygit2.Repository(str(received)), HEAD_REF)
        known = target(repository, HEAD_REF)
        if tip is None or tip == known:
            return
        _move_packs(received / "objects" / "pack", mirror / "objects" / "pack")
        repository = pygit2.Repository(str(mirror))
        if known is not None and not repository.descendant_of(tip, known):
            repository.references.create(KEPT_REFS + str(known), known, force=True)
        repository.references.create(HEAD_REF, tip, force=True)
        merge_packs(repository, mirror)


def target(repository: pygit2.Repository, name: str) -> pygit2.Oid | None:
    """What a reference points to, None when there is none."""
    reference = repository.references.get(name)
    return None if reference is None else pygit2.Oid(hex=str(reference.target))


def _move_packs(source: Path, destination: Path) -> None:
    destination.mkdir(exist_ok=True)
    # The index goes last: a pack without its index is not looked at.
    for suffix in (".pack", ".idx"):
        for file in source.glob(f"pack-*{suffix}"):
            file.replace(destination / file.name)


def _sweep(mirror: Path) -> None:
    """Remove what a writer that was killed left behind. Only we write here, and we hold the lock."""
    for pattern in ("*.lock", "refs/hagit/**/*.lock", "objects/pack/pack_git2_*"):
        for leftover in mirror.glob(pattern):
            if leftover.name != LOCK:
                leftover.unlink(missing_ok=True)


def _sweep_folder(folder: Path) -> None:
    """Remove the quarantines of processes that have ended."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < LEFTOVER_S:
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)
