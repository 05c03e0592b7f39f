"""Refused tips of the branch, remembered for an hour, so that the next poll does not fetch and verify them again.

A refusal depends on the trusted files, the policy, [trust] of the node file, the branch and the last accepted commit.
When any of these changes, the tip is judged again; it is judged again after an hour in any case, because keys expire.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.agent.source.trust_policy import TrustPolicy
from reconciler.agent.store import AcceptedHistory
from reconciler.errors import HistoryRefused, SignatureRefused, SourceError, UnsupportedSource
from reconciler.system.clock import wall_s
from reconciler.system.files import read_json, write_json

TIPS_MAX: Final = 32
HOLDS_S: Final = 3600.0
_TEXT_MAX: Final = 4000
_KINDS: Final = {kind.__name__: kind for kind in (SignatureRefused, HistoryRefused, UnsupportedSource)}


@dataclass(frozen=True, slots=True)
class RefusedTips:
    """The refusals in a file that are valid under one set of conditions, `key`."""

    path: Path
    key: str

    def tips(self) -> frozenset[str]:
        """The tips that need not be fetched again."""
        return frozenset(entry["tip"] for entry in self._valid_entries())

    def of(self, commit: str) -> SourceError | None:
        """The refusal of a tip, given by its id or its beginning; None when it was not refused."""
        for entry in self._valid_entries():
            if commit and entry["tip"].startswith(commit):
                return _KINDS[entry["kind"]](entry["what"], where=entry["where"], remedy=entry["remedy"])
        return None

    def last(self) -> str:
        """The tip that was refused last; empty without one."""
        return next((str(entry["tip"]) for entry in reversed(self._valid_entries())), "")

    def remember(self, tip: str, refusal: SourceError) -> None:
        """Remember a refusal, if another poll would only repeat it."""
        if type(refusal).__name__ not in _KINDS or not tip:
            return
        entry = {
            "tip": tip,
            "key": self.key,
            "at_s": wall_s(),
            "kind": type(refusal).__name__,
            "what": refusal.what[:_TEXT_MAX],
            "where": refusal.where[:_TEXT_MAX],
            "remedy": refusal.remedy[:_TEXT_MAX],
        }
        others = [other for other in self._entries() if (other["tip"], other["key"]) != (tip, self.key)]
        document = {"format": "hagit.refused/1", "tips": [*others, entry][-TIPS_MAX:]}
        write_json(self.path, document, sync=False)

    def _valid_entries(self) -> list[dict[str, Any]]:
        now_s = wall_s()
        return [one for one in self._entries() if one["key"] == self.key and 0 <= now_s - one["at_s"] < HOLDS_S]

    def _entries(self) -> list[dict[str, Any]]:
        match read_json(self.path):
            case {"format": "hagit.refused/1", "tips": list(tips)}:
                return [entry for entry in tips if _is_entry(entry)]
        return []


def refused_tips(root: Path, policy: TrustPolicy, accepted: AcceptedHistory) -> RefusedTips:
    """The refusals that are valid under this policy and after this commit.

    Raises NodeFileError for unusable trusted files.
    """
    scopes = policy.scopes.spelled() if policy.scopes is not None else ""
    table = (str(policy.unsigned), scopes, policy.pair, policy.floor, *([policy.folder] if policy.folder else []))
    conditions = (policy.trust.digest(), policy.branch, *table, *policy.signers, accepted.head)
    return RefusedTips(root / "refused.json", hashlib.sha256("\0".join(conditions).encode()).hexdigest())


def _is_entry(entry: Any) -> bool:
    texts = ("tip", "key", "kind", "what", "where", "remedy")
    return (
        isinstance(entry, dict)
        and all(isinstance(entry.get(name), str) for name in texts)
        and isinstance(entry.get("at_s"), float)
        and entry["kind"] in _KINDS
    )
