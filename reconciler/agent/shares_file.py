"""The file with the shares: compiled from a revision and sealed, beside the watchdog's orders.

Level-triggered: a lost, damaged or old file is replaced like a changed one. A revision without shares publishes a file
without any, so that the watchdog stops serving, and no file where there never was one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from reconciler.agent.source.content import Content
from reconciler.agent.store import Store
from reconciler.core.failover.heartbeats.keyring import decode_any
from reconciler.core.planning.plan import OrdersChange
from reconciler.core.shares.difference import ShareChange, removed_shares, share_changes, summary, use_of
from reconciler.core.shares.document import SHARES_BYTES_MAX, decode_shares, shares_document
from reconciler.core.shares.shares import Shares
from reconciler.errors import NodeFileError, StateError
from reconciler.system.files import file_stamp, read_bytes, write_atomic
from reconciler.system.machine import boot_id
from reconciler.system.node import WatchdogNode
from reconciler.system.secret import document_keys, read_secret
from reconciler.system.shares.client_file import read_clients

FILE: Final = "shares.json"
#: Changes that one line of the decision log names.
RECORDED_MAX: Final = 100
#: A list of clients that is older says nothing: this controller has stopped serving since.
CLIENTS_AGE_S_MAX: Final = 120.0
#: RFC 7143, 9.2.1: a secret of 96 bits where nothing encrypts the connection.
CHAP_BYTES_MIN: Final = 12


class SharesFile:
    """The published shares of one controller; belongs to one thread."""

    def __init__(self, watchdog: WatchdogNode, store: Store) -> None:
        self._watchdog, self._store = watchdog, store
        self.path = store.root / FILE
        self._sealed = False

    def changes(self, content: Content) -> tuple[OrdersChange, ...]:
        """The changes that publishing this content would make, in words.

        Raises NodeFileError for an unusable secret.
        """
        found = share_changes(self._current(), _wanted(content))
        origins = content.share_origins
        return tuple(OrdersChange(one.what, one.before, one.after, origins.get(one.resource)) for one in found)

    def warnings(self, content: Content) -> tuple[str, ...]:
        """A sentence for each removed share that clients use, a state dataset that moves, and each missing CHAP secret.

        Raises NodeFileError for an unusable secret of the pair.
        """
        before, after = self._current(), _wanted(content)
        secrets = _missing_secrets(content.shares, dict(self._watchdog.chap))
        return (*self._used(before, after), *_left_state(before, after), *secrets)

    def _used(self, before: Shares | None, after: Shares) -> Iterator[str]:
        """The clients of removed shares, as far as this controller serves them."""
        removed = removed_shares(before, after)
        try:
            found = read_clients(self._watchdog.run, boot_id()) if removed else None
        except StateError:
            found = None
        if found is not None and found.age_s <= CLIENTS_AGE_S_MAX:
            yield from filter(None, (use_of(share, found.clients) for share in removed))

    def publish(self, content: Content, commit: str) -> Shares | None:
        """Write the shares of a revision; return them, or None when the file holds them already.

        Adds their changes to the history, unless `commit` is empty. The caller holds the lock of the orders. Raises
        NodeFileError for an unusable secret, StateError when the file cannot be written.
        """
        current, wanted = self._current(), _wanted(content)
        if current is None and not wanted and not file_stamp(self.path):
            return None
        if current != wanted or not self._sealed:
            write_atomic(self.path, shares_document(wanted, document_keys(self._watchdog)[0]), mode=0o600)
        if current == wanted:
            return None
        self._record(share_changes(current, wanted), commit)
        return wanted

    def _record(self, changes: tuple[ShareChange, ...], commit: str) -> None:
        named = [change.what for change in changes[:RECORDED_MAX]]
        self._store.log_decision("shares", commit=commit, changes=named, count=len(changes))
        applied = self._store.applied()
        if applied is not None and applied.revision.commit == commit and changes:
            self._store.record_history("shares", applied.revision, why=summary(changes))

    def stamp(self) -> tuple[int, ...]:
        """A value that changes with the file."""
        return file_stamp(self.path)

    def _current(self) -> Shares | None:
        """The published shares; None for a file that is missing, damaged, or sealed with another secret."""
        try:
            data = read_bytes(self.path, SHARES_BYTES_MAX)
        except StateError:
            return None
        if data is None:
            return None
        read, at = decode_any(data, document_keys(self._watchdog), decode_shares)
        #: Whether it is sealed with the present secret.
        self._sealed = at == 0
        return read if isinstance(read, Shares) else None


def _left_state(before: Shares | None, after: Shares) -> Iterator[str]:
    """Two datasets at one place: the one that is mounted last covers the other."""
    old = before.state if before is not None else None
    if old is not None and after.state is not None and old != after.state:
        yield (
            f"{old} has the same mount point as {after.state} and is left as it is; after the apply run on the active "
            f"controller: zfs set canmount=noauto {old}, and switch over once"
        )


def _missing_secrets(shares: Shares | None, files: Mapping[str, Path]) -> Iterator[str]:
    initiators = [initiator for target in shares.targets for initiator in target.initiators] if shares else []
    named = [chap.secret for one in initiators for chap in (one.chap, one.mutual) if chap is not None]
    for name in dict.fromkeys(named):
        why, remedy = "", f'add {name} = "FILE" to [chap] of the node file'
        if name not in files:
            why = "[chap] of the node file names no file for it"
        else:
            try:
                read_secret(files[name], bytes_min=CHAP_BYTES_MIN)
            except NodeFileError as error:
                why, remedy = f"{error.where}: {error.what}", error.remedy
        if why:
            way_out = f"; {remedy}" if remedy else ""
            yield f"initiators with the CHAP secret {name} cannot log in to this controller: {why}{way_out}"


def _wanted(content: Content) -> Shares:
    return content.shares or Shares(content.settings.pair.name)
