"""Blame: commit, author and signer of a line of the desired state.

Reads the mirror on demand, once for each file, and caches the result beside the compiled content: a command that finds
it there needs no git library. Without a result, a change is shown without its author.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from reconciler import __version__
from reconciler.agent.store import Store
from reconciler.core.facts.state import Origin
from reconciler.core.planning.plan import Blame
from reconciler.errors import HagitError, StateError
from reconciler.system.files import read_json

if TYPE_CHECKING:
    from reconciler.system.git.mirror import Mirror


class Blamer:
    """Finds the blame of lines in the files of one commit. Belongs to one thread."""

    def __init__(self, store: Store, mirror: Callable[[], Mirror], commit: str) -> None:
        self._store = store
        self._mirror = mirror
        self._commit = commit
        self._files: dict[str, list[Blame]] = {}
        self._signers: dict[str, str] | None = None

    def __call__(self, origin: Origin) -> Blame | None:
        """The blame of the line at `origin`, None when it cannot be found."""
        try:
            if origin.file not in self._files:
                self._files[origin.file] = self._lines(origin.file)
        except HagitError:
            return None
        lines = self._files[origin.file]
        return lines[origin.line - 1] if 0 < origin.line <= len(lines) else None

    def _lines(self, file: str) -> list[Blame]:
        """The blame of each line of a file. Raises HagitError."""
        kept: dict[str, Any] = self._store.compiled(f"{self._commit}-blame", __version__) or {}
        if file not in kept:
            kept = kept | {file: self._document(file)}
            with contextlib.suppress(StateError):
                self._store.write_compiled(f"{self._commit}-blame", __version__, kept)
        commits = [
            Blame(commit, author, self._signer(commit), summary) for commit, author, summary in kept[file]["commits"]
        ]
        return [commits[index] for index in kept[file]["lines"]]

    def _document(self, file: str) -> dict[str, Any]:
        """The commits of a file and, for each line, which of them it came with. Raises HagitError."""
        from reconciler.system.git.history import describe
        from reconciler.system.git.lines import Authorship

        mirror = self._mirror()
        lines = Authorship(mirror).of(self._commit, file)
        order = {commit: index for index, commit in enumerate(dict.fromkeys(lines))}
        known = [describe(mirror, commit) for commit in order]
        return {
            "commits": [(info.id, info.author, info.summary) for info in known],
            "lines": [order[commit] for commit in lines],
        }

    def _signer(self, commit: str) -> str:
        if self._signers is None:
            document = read_json(self._store.verified) or {}
            verified = document.get("verified", {})
            self._signers = {one: str(verdict.get("principal", "")) for one, verdict in verified.items()}
        return self._signers.get(commit, "")
