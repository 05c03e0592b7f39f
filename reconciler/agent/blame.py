"""Blame: which commit, author and signer ask for a line of the desired state.

Reads the mirror only when somebody asks, once for each file; without an answer the change simply names nobody.
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.agent.store import Store
from reconciler.core.facts.state import Origin
from reconciler.core.planning.plan import Blame
from reconciler.errors import HagitError
from reconciler.system.files import read_json
from reconciler.system.git.history import describe
from reconciler.system.git.lines import Authorship
from reconciler.system.git.mirror import Mirror


class Blamer:
    """Answers for the files of one commit. Belongs to one thread."""

    def __init__(self, store: Store, mirror: Callable[[], Mirror], commit: str) -> None:
        self._store = store
        self._mirror = mirror
        self._commit = commit
        self._authorship: Authorship | None = None
        self._blames: dict[str, Blame] = {}
        self._signers: dict[str, str] | None = None

    def __call__(self, origin: Origin) -> Blame | None:
        """Who asks for what stands at `origin`, None when that cannot be found out."""
        try:
            if self._authorship is None:
                self._authorship = Authorship(self._mirror())
            lines = self._authorship.of(self._commit, origin.file)
            if not 0 < origin.line <= len(lines):
                return None
            return self._blame(lines[origin.line - 1])
        except HagitError:
            return None

    def _blame(self, commit: str) -> Blame:
        if commit not in self._blames:
            info = describe(self._mirror(), commit)
            self._blames[commit] = Blame(info.id, info.author, self._signer(info.id), info.summary)
        return self._blames[commit]

    def _signer(self, commit: str) -> str:
        if self._signers is None:
            document = read_json(self._store.verified) or {}
            verified = document.get("verified", {})
            self._signers = {one: str(verdict.get("principal", "")) for one, verdict in verified.items()}
        return self._signers.get(commit, "")
