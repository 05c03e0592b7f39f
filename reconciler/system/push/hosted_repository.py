"""The hosted repository: a bare repository whose settings and hooks belong to root, and whose objects to the git user.

Every program that reads or writes its objects is stock git, run as the git user within limits, so a client's bytes are
parsed without rights. Each change is synced before it counts (`core.fsync`), also the reference itself. Decides
nothing: the caller has judged what it stores and moves.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from reconciler.errors import SourceError, StateError
from reconciler.printing import cut
from reconciler.system import process
from reconciler.system.files import PUBLIC_DIRECTORY, make_directory, state_error, write_atomic
from reconciler.system.git.packs import PACKS_MAX
from reconciler.system.push.git_user import GIT_LIMITS, GitUser, git_environment

#: What one push may bring, and what one pack between the controllers may have.
PACK_BYTES_MAX: Final = 16 << 20
GIT_S: Final = 20.0
#: A push needs this much room on the file system, beyond its own size.
FREE_BYTES_MIN: Final = 64 << 20
#: Objects of a push that was announced to the peer and not followed by a move.
STAGING: Final = "refs/hagit/incoming"
ZERO: Final = "0" * 40
#: Commits of one history that are listed.
SHOWN_MAX: Final = 50
GRACE: Final = "2.hours.ago"
#: Relative to the repository; the git user writes there and nowhere else.
_WRITTEN: Final = ("objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/hagit")
HOOKS: Final = ("pre-receive", "reference-transaction", "proc-receive", "post-receive")
CONFIG: Final = """\
# Written by hagit's agent at each start. Changes are lost.
[core]
	repositoryFormatVersion = 0
	bare = true
	logAllRefUpdates = false
	hooksPath = hooks
	fsync = all
	fsyncMethod = fsync
	bigFileThreshold = 16m
	packedGitLimit = 64m
[pack]
	threads = 1
	windowMemory = 64m
	writeReverseIndex = false
[receive]
	maxInputSize = {bytes_max}
	fsckObjects = true
	denyNonFastForwards = true
	denyDeletes = true
	advertisePushOptions = true
	unpackLimit = 1
	autogc = false
	procReceiveRefs = refs/plan
[transfer]
	hideRefs = refs/hagit
[gc]
	auto = 0
"""


class HostedRepository:
    """The repository at `path`. Methods raise StateError when git cannot do what it is asked, with git's words."""

    def __init__(self, path: Path, user: GitUser) -> None:
        self.path = path
        self.user = user

    def prepare(self, branch: str, socket: Path) -> None:
        """Make the repository, or bring its settings and hooks up to this release. `branch`: where HEAD points."""
        try:
            make_directory(self.path.parent, PUBLIC_DIRECTORY)
            make_directory(self.path, PUBLIC_DIRECTORY)
            (self.path / "hooks").mkdir(mode=0o755, exist_ok=True)
            for name in _WRITTEN:
                place = self.path / name
                place.mkdir(mode=0o755, exist_ok=True)
                if os.geteuid() == 0:
                    os.chown(place, self.user.uid, self.user.gid, follow_symlinks=False)
            if os.geteuid() == 0:
                # git makes HEAD.lock here. With the sticky bit it can neither replace nor remove files of root.
                os.chown(self.path, 0, self.user.gid)
                self.path.chmod(0o1775)
        except OSError as error:
            raise state_error(self.path, error, "make this repository") from error
        files = {"HEAD": f"ref: refs/heads/{branch}\n", "config": CONFIG.format(bytes_max=PACK_BYTES_MAX)}
        for name, text in files.items():
            write_atomic(self.path / name, text.encode(), mode=0o644)
        for hook in HOOKS:
            write_atomic(self.path / "hooks" / hook, _hook_script(hook, socket).encode(), mode=0o755)

    def tip(self, branch: str) -> str:
        """The full id of the branch's commit; empty before the first push."""
        return self._resolve(f"refs/heads/{branch}")

    def has(self, commit: str) -> bool:
        """Whether this commit is here, whether or not a reference leads to it."""
        return self._git("cat-file", "-e", f"{commit}^{{commit}}").code == 0

    def is_staged(self, commit: str) -> bool:
        """Whether the objects of this commit were stored for a move that has not come yet."""
        return bool(commit) and self._resolve(f"{STAGING}/{commit}") == commit

    def leads_to(self, older: str, newer: str) -> bool:
        """Whether `older` is `newer` or one of its ancestors. Both are here."""
        return self._git("merge-base", "--is-ancestor", older, newer).code == 0

    def common_base(self, commits: Sequence[str]) -> str:
        """The newest commit that all of them descend from, or are; empty without one, or when one is not here."""
        if not commits or not all(commits):
            return ""
        done = self._git("merge-base", "--octopus", *commits)
        return done.stdout.decode(errors="replace").strip() if done.code == 0 else ""

    def only_in(self, one: str, other: str) -> tuple[str, ...]:
        """The commits of `one` that `other` does not have, newest first: short id, author and first line of each."""
        done = self._git("log", f"--max-count={SHOWN_MAX}", "--format=%h %an: %s", one, f"^{other}")
        return tuple(cut(line) for line in done.stdout.decode(errors="replace").splitlines())

    def pack(self, tip: str, have: Sequence[str]) -> bytes:
        """A pack of everything that `tip` needs beyond `have`. Raises SourceError when it is larger than the limit."""
        lines = "\n".join([tip, *(f"^{commit}" for commit in have)]) + "\n"
        done = self._git(
            "pack-objects", "--revs", "--stdout", "-q", stdin=lines.encode(), output_bytes_max=PACK_BYTES_MAX
        )
        if done.truncated:
            raise SourceError(
                f"more than {PACK_BYTES_MAX >> 20} MiB would have to be sent",
                where=str(self.path),
                remedy="copy the repository to the other controller by hand",
            )
        return self._require(done, "pack what the peer lacks").stdout

    def store(self, pack: bytes, tip: str) -> None:
        """Keep the objects of a pack, synced, under a reference of their own until `move`. The last one replaces it."""
        self._require(self._git("index-pack", "--stdin", "--fix-thin", "--strict", stdin=pack), "store the objects")
        lines = [f"delete {name}" for name in self._staged() if not name.endswith(tip)]
        lines.append(f"update {STAGING}/{tip} {tip}")
        self._transaction(lines, "keep the objects")

    def move(self, branch: str, old: str, new: str) -> None:
        """Move the branch from `old` (empty: it is not there) to `new`, or raise StateError and change nothing."""
        lines = [f"update refs/heads/{branch} {new} {old or ZERO}"]
        lines += [f"delete {name}" for name in self._staged() if name.endswith(new)]
        self._transaction(lines, f"move {branch} to {new[:12]}")

    def sync_names(self, branch: str) -> None:
        """Sync the directories that a move changed. git syncs files, and not their new names (fsync(2)): without this a
        power cut within seconds could take the branch back. Raises StateError.
        """
        places = [self.path / "objects" / "pack", *(self.path / "refs" / "heads" / branch).parents]
        for place in places:
            if not place.is_relative_to(self.path):
                break
            try:
                descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise state_error(place, error, "sync this directory") from error

    def replace(self, branch: str, old: str, new: str, kept: str) -> None:
        """As `move`, with a reference `refs/hagit/kept/KEPT` to what is replaced, so that nothing is lost."""
        lines = [f"update refs/heads/{branch} {new} {old or ZERO}"]
        lines += [f"update refs/hagit/kept/{kept} {old}"] if old else []
        self._transaction(lines, f"replace {branch} by {new[:12]}")

    def maintain(self) -> None:
        """Merge the packs when there are many. A failure leaves them as they are.

        Objects that nothing leads to, as those of plans, go when they are older than the longest push may last.
        """
        if len(list((self.path / "objects" / "pack").glob("pack-*.pack"))) > PACKS_MAX:
            self._git("repack", "-A", "-d", "-q", f"--unpack-unreachable={GRACE}", timeout_s=120.0)
            self._git("prune", f"--expire={GRACE}", timeout_s=120.0)

    def require_room(self, size_bytes: int = 0) -> None:
        """Raise StateError when the file system has too little room for a push."""
        status = os.statvfs(self.path)
        free = status.f_bavail * status.f_frsize
        if free < FREE_BYTES_MIN + 3 * size_bytes:
            raise StateError(
                f"the file system is full: {free >> 20} MiB are free",
                where=str(self.path),
                remedy="make room on this controller and push again",
            )

    def _staged(self) -> list[str]:
        done = self._git("for-each-ref", "--format=%(refname)", f"{STAGING}/")
        return done.stdout.decode(errors="replace").split() if done.code == 0 else []

    def _resolve(self, name: str) -> str:
        done = self._git("rev-parse", "-q", "--verify", f"{name}^{{commit}}")
        return done.stdout.decode(errors="replace").strip() if done.code == 0 else ""

    def _transaction(self, lines: Sequence[str], doing: str) -> None:
        text = "\n".join(["start", *lines, "prepare", "commit"]) + "\n"
        self._require(self._git("update-ref", "--stdin", stdin=text.encode()), doing)

    def _git(
        self, *words: str, stdin: bytes = b"", output_bytes_max: int = 1 << 20, timeout_s: float = GIT_S
    ) -> process.Finished:
        """Run git here as the git user. Our own changes run no hooks: those are for what clients do."""
        argv = ["git", "-c", "core.hooksPath=/dev/null", f"--git-dir={self.path}", *words]
        done = process.run(
            argv,
            stdin=stdin,
            timeout_s=timeout_s,
            env=git_environment(self.path),
            output_bytes_max=output_bytes_max,
            limits=GIT_LIMITS,
            identity=self.user.identity,
        )
        match done:
            case process.Missing(program, why):
                raise StateError(f"{program}: {why}", where=str(self.path), remedy="apt-get install git")
            case process.TimedOut():
                raise StateError(f"git {words[0]} did not end within {timeout_s:g} s", where=str(self.path))
            case process.Finished():
                return done

    def _require(self, done: process.Finished, doing: str) -> process.Finished:
        if done.code == 0:
            return done
        words = done.stderr.decode(errors="replace").strip()[:400]
        full = "no space left" in words.lower()
        raise StateError(
            f"git could not {doing}: {words or f'it ended with code {done.code}'}",
            where=str(self.path),
            remedy="make room on this file system" if full else "",
        )


def _hook_script(name: str, socket: Path) -> str:
    """A hook: a shell script, because the one for references runs several times in each push, mostly without need."""
    root = Path(__file__).parents[3]
    words = [sys.executable, "-P", "-m", "reconciler.system.push.hook", name, str(socket)]
    lines = ["#!/bin/sh", "# Written by hagit's agent."]
    if name == "reference-transaction":
        lines.append('[ "$1" = prepared ] || exit 0')
    lines.append(f"PYTHONPATH={shlex.quote(str(root))} exec {shlex.join(words)}")
    return "\n".join(lines) + "\n"
