"""The agent's state directory: accepted and applied revisions, blocked commits, history, caches.

    mirror.git/        the bare mirror of the source
    source.json        accepted and good revisions, the commit that a rollback blocks
    applied.json       the revision applied last, and the boot in which it was applied
    compiled/          compiled desired states by commit, so that a command need not parse YAML again
    journal.jsonl      the write-ahead journal of the running or interrupted apply
    suspended.json     until when an operator keeps the agent from applying, and why
    change.json        the newest change that could cut this controller off, and the way back from it
    history.jsonl      every revision that was applied, rolled back or refused
    decisions.jsonl    the decision log of the agent
    ledger.json        suspected and firing drift
    outbox/            alerts that are not delivered yet
    pair.json          firing alerts about the pair, and the last role of this controller
    status.json        the published status document
    lock               held while a plan is performed

Everything is small, bounded, and replaced whole or appended by lines. Only `status.json` and `applied.json` may be read
by every user (`PUBLIC_FILES`); the modes of files of an earlier release are narrowed when the directory is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

from reconciler.core.confirmation.pending_change import PendingChange, change_document, change_from_document
from reconciler.core.facts.fact import Key
from reconciler.core.status.revision import Revision, revision_document, revision_from_document
from reconciler.errors import StateError, shape_defect
from reconciler.system.clock import wall_s
from reconciler.system.files import (
    PUBLIC,
    PUBLIC_DIRECTORY,
    Lock,
    append_line,
    keep_last_lines,
    keep_newest_files,
    make_directory,
    narrow,
    read_json,
    read_lines,
    remove_file,
    write_json,
)
from reconciler.system.machine import boot_identity

Parsed = TypeVar("Parsed")
#: The key of a held fact, and its resource when all of the resource is held.
HeldPart: TypeAlias = tuple[Key, str]

HISTORY_LINES_MAX: Final = 1_000
DECISION_LINES_MAX: Final = 20_000
COMPILED_FILES_MAX: Final = 16
NO_DETAILS: Final[Mapping[str, object]] = MappingProxyType({})
#: Files that every user may read, for `hagit status`.
PUBLIC_FILES: Final = ("status.json", "applied.json")


@dataclass(frozen=True, slots=True)
class BlockedCommit:
    """A commit that was rolled back. It is not applied again until another one comes.

    `position`: number of commits of the history up to it.
    """

    commit: str
    why: str
    since_s: float
    position: int = 0


@dataclass(frozen=True, slots=True)
class AcceptedHistory:
    """How far the source was followed.

    `head`: the newest verified commit; `good`: the newest state with usable YAML, of the head `usable`; `folder`: the
    folder of the pair that was followed, empty for the whole repository. `pinned`: the revision that a rollback
    restored. `policy`: the JSON form of the Source resource of the good revision, which judges the next range. `base`:
    number of commits that were followed before the history was replaced, so that generations of orders go on rising.
    """

    head: str = ""
    good: Revision | None = None
    pinned: Revision | None = None
    blocked: BlockedCommit | None = None
    policy: Mapping[str, Any] | None = None
    trust: str = ""
    base: int = 0
    folder: str = ""
    usable: str = ""

    @property
    def good_head(self) -> str:
        """The newest head whose state is `good`. An older release wrote none: each of its revisions was a head."""
        return self.usable or (self.good.commit if self.good is not None else "")

    @property
    def wanted(self) -> Revision | None:
        """The revision that should be in force; None before the first good one, or if that was taken back."""
        if self.pinned is None and self.blocked is not None and self.good is not None:
            return None if self.good.commit == self.blocked.commit else self.good
        return self.pinned or self.good


@dataclass(frozen=True, slots=True)
class AppliedRevision:
    """The revision that was applied last. A reboot, or another network namespace, makes it unapplied.

    `held`: its parts that are not applied yet: the key of each fact and, where its link was missing, the resource.
    """

    revision: Revision
    at_s: float
    boot: str
    complete: bool
    held: tuple[HeldPart, ...] = ()

    def holds_now(self) -> bool:
        """Whether it is still in force: false after a reboot, which cleared the kernel."""
        return self.boot == boot_identity()

    def awaits(self, key: Key, resource: str) -> bool:
        """Whether a fact is held, by itself or with its whole resource."""
        return any(key == held or (of and of == resource) for held, of in self.held)


@dataclass(frozen=True, slots=True)
class Suspension:
    """An operator keeps the agent from applying, until a time. Wall clock, in seconds since 1970."""

    since_s: float
    until_s: float
    reason: str = ""

    def left_s(self, now_s: float) -> float:
        """How long it still lasts; 0 when it is over. A clock that was set back does not make it longer."""
        return max(0.0, min(self.until_s - now_s, self.until_s - self.since_s))


class Store:
    """One controller's state directory. Raises StateError when it cannot be made, read or written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        make_directory(root, PUBLIC_DIRECTORY)
        narrow(root, PUBLIC_FILES)

    @property
    def mirror(self) -> Path:
        """The bare mirror of the source."""
        return self.root / "mirror.git"

    @property
    def journal(self) -> Path:
        """The write-ahead journal."""
        return self.root / "journal.jsonl"

    @property
    def outbox(self) -> Path:
        """Alerts that are not delivered yet."""
        return self.root / "outbox"

    @property
    def verified(self) -> Path:
        """The file of good signatures, by commit and trust files."""
        return self.root / "verified.json"

    @property
    def scoped(self) -> Path:
        """The file of scopes that commits need, for a range that takes several runs."""
        return self.root / "scoped.json"

    def lock(self, purpose: str, *, wait_s: float = 0.0) -> Lock:
        """The lock that is held while a plan is performed."""
        return Lock(self.root / "lock", purpose, wait_s=wait_s)

    def source_lock(self, *, wait_s: float) -> Lock:
        """The lock that is held while a revision is fetched and accepted."""
        return Lock(self.root / "source.lock", "fetch", wait_s=wait_s)

    def accepted(self) -> AcceptedHistory:
        """How far the source was followed; empty before the first revision."""
        return self._read("source.json", _accepted) or AcceptedHistory()

    def accept(self, accepted: AcceptedHistory) -> None:
        """Record how far the source was followed. Synced: it guards against a rewound branch after a power cut."""
        if accepted != self.accepted():
            write_json(self.root / "source.json", asdict(accepted))

    def applied(self) -> AppliedRevision | None:
        """The revision applied last, None before the first."""
        return self._read("applied.json", _applied)

    def record_applied(
        self,
        revision: Revision,
        *,
        what: str,
        counts: Mapping[str, int],
        was: Sequence[Any] = (),
        held: Iterable[HeldPart] = (),
        details: Mapping[str, object] = NO_DETAILS,
    ) -> None:
        """Record that a revision is in force except its `held` parts, and add it to the history.

        `was`: documents of facts that it changed in place, with their old values, for a rollback. `details`: more
        fields of the line in the history.
        """
        left = tuple(dict.fromkeys(held))
        applied = AppliedRevision(revision, wall_s(), boot_identity(), not left, left)
        write_json(self.root / "applied.json", asdict(applied), mode=PUBLIC)
        about = {"counts": dict(counts), "complete": not left, "held": len(left), "was": list(was), **details}
        self.record_history(what, revision, **about)

    def record_held(self, applied: AppliedRevision, held: Iterable[HeldPart]) -> AppliedRevision:
        """Record the held parts of the revision in force."""
        left = tuple(dict.fromkeys(held))
        now = replace(applied, complete=not left, held=left)
        if now != applied:
            write_json(self.root / "applied.json", asdict(now), mode=PUBLIC)
        return now

    def record_history(self, what: str, revision: Revision, **details: object) -> None:
        """Append a line to `hagit history`."""
        path = self.root / "history.jsonl"
        keep_last_lines(path, HISTORY_LINES_MAX)
        entry = {"at_s": wall_s(), "what": what, "revision": revision_document(revision), **details}
        append_line(path, entry, sync=True)

    def history(self) -> list[dict[str, Any]]:
        """Every line of the history, oldest first. Skips damaged lines."""
        return [line for line in read_lines(self.root / "history.jsonl") if _is_entry(line)]

    def change(self) -> PendingChange | None:
        """The newest change that could cut this controller off, None without one. Raises StateError if damaged."""
        return self._read("change.json", change_from_document)

    def record_change(self, change: PendingChange) -> None:
        """Record a stage of a change. Synced: after a power cut the next agent takes the way back."""
        write_json(self.root / "change.json", change_document(change))

    def forget_applied(self) -> None:
        """Record that no revision is in force."""
        remove_file(self.root / "applied.json")

    def suspension(self) -> Suspension | None:
        """What keeps the agent from applying now; None when nothing does."""
        found = self._read("suspended.json", _suspension)
        return found if found is not None and found.left_s(wall_s()) > 0 else None

    def suspend(self, suspension: Suspension | None) -> None:
        """Keep the agent from applying; None ends that. Synced: it outlives a reboot."""
        if suspension is None:
            remove_file(self.root / "suspended.json")
        else:
            write_json(self.root / "suspended.json", asdict(suspension))

    def log_decision(self, decision: str, **details: object) -> None:
        """Append a line to the decision log: the decision and its reasons."""
        append_line(self.root / "decisions.jsonl", {"at_s": round(wall_s(), 6), "decision": decision, **details})

    def decisions(self) -> list[Any]:
        """Every line of the structured journal that is kept, oldest first."""
        return read_lines(self.root / "decisions.jsonl")

    def prune(self) -> None:
        """Remove old decisions and compiled states beyond the limits."""
        keep_last_lines(self.root / "decisions.jsonl", DECISION_LINES_MAX)
        keep_newest_files(self.root / "compiled", "*.json", COMPILED_FILES_MAX)

    def compiled(self, commit: str, version: str) -> Any | None:
        """The compiled form of a commit, None when it is not cached or another version of hagit made it."""
        document = read_json(self.root / "compiled" / f"{commit}.json")
        return document["content"] if document and document.get("version") == version else None

    def write_compiled(self, commit: str, version: str, content: object) -> None:
        """Cache the compiled form of a commit."""
        make_directory(self.root / "compiled")
        write_json(self.root / "compiled" / f"{commit}.json", {"version": version, "content": content}, sync=False)

    def read_drift(self) -> Any | None:
        """The saved drift state and firing alerts, in JSON form."""
        return read_json(self.root / "ledger.json")

    def write_drift(self, document: object) -> None:
        """Save the drift state and firing alerts, in JSON form."""
        write_json(self.root / "ledger.json", document, sync=False)

    def status(self) -> Any | None:
        """The status document that the agent published last, None without a usable one."""
        document = read_json(self.root / "status.json")
        return document if isinstance(document, dict) and isinstance(document.get("at_s"), float) else None

    def publish(self, document: object) -> None:
        """Publish the status document."""
        write_json(self.root / "status.json", document, mode=PUBLIC, sync=False)

    def _read(self, name: str, parse: Callable[[Mapping[str, Any]], Parsed]) -> Parsed | None:
        """The value in a file, None without the file. Raises StateError when it is damaged."""
        document = read_json(self.root / name)
        if document is None:
            return None
        try:
            return parse(document)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateError(
                f"damaged: {shape_defect(error)}",
                where=str(self.root / name),
                remedy="move this file away; hagit makes a new one",
            ) from error


def _accepted(document: Mapping[str, Any]) -> AcceptedHistory:
    return AcceptedHistory(
        head=document.get("head", ""),
        good=_revision(document.get("good")),
        pinned=_revision(document.get("pinned")),
        blocked=_blocked(document["blocked"]) if document.get("blocked") else None,
        policy=document.get("policy"),
        trust=document.get("trust", ""),
        base=document.get("base", 0),
        folder=document.get("folder", ""),
        usable=document.get("usable", ""),
    )


def _blocked(document: Mapping[str, Any]) -> BlockedCommit:
    # Ignore fields of a newer hagit: a rollback must stay in force.
    return BlockedCommit(**{name: document[name] for name in BlockedCommit.__slots__ if name in document})


def _suspension(document: Mapping[str, Any]) -> Suspension:
    return Suspension(float(document["since_s"]), float(document["until_s"]), str(document.get("reason", "")))


def _applied(document: Mapping[str, Any]) -> AppliedRevision:
    revision = revision_from_document(document["revision"])
    held = tuple((tuple(map(str, key)), str(resource)) for key, resource in document.get("held", ()))
    return AppliedRevision(revision, document["at_s"], document["boot"], document["complete"], held)


def _revision(document: Mapping[str, Any] | None) -> Revision | None:
    return revision_from_document(document) if document else None


def _is_entry(line: Any) -> bool:
    """Whether a line of the history is complete."""
    try:
        revision_from_document(line["revision"])
        return isinstance(line["what"], str) and isinstance(line["at_s"], float)
    except (KeyError, TypeError, AttributeError):
        return False
