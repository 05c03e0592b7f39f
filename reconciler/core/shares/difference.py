"""The changes from one set of shares to the next, in words for people.

Matches shares by what they serve: an export by its place, a target by its iSCSI name. So renaming a resource removes no
share. Says what clients notice of each change. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from reconciler.core.shares.ports import ConnectedClient
from reconciler.core.shares.shares import (
    Initiator,
    IscsiServer,
    IscsiTarget,
    Lun,
    NfsClients,
    NfsExport,
    NfsServer,
    Protocol,
    Shares,
)

#: Name at most this many items of a list, and count the rest.
NAMED_MAX: Final = 6
EXPORT_GONE: Final = "no longer served: clients that use it get errors (ESTALE); its data stays"
TARGET_GONE: Final = "no longer served: initiators that use it get I/O errors; its data stays"
LUN_GONE: Final = "initiators that use it get I/O errors"


class ShareChange(NamedTuple):
    """A changed part of the shares. `before` is empty if the part is new.

    `resource`: what asks for it, as Kind/name, or the kind alone where there is at most one; "" if nothing does.
    """

    what: str
    before: str
    after: str
    resource: str = ""


def share_changes(before: Shares | None, after: Shares) -> tuple[ShareChange, ...]:
    """Return every part that differs, in a fixed order. `before` None: every part that there is."""
    old = before or Shares(after.pair)
    return (*_common_changes(old, after), *_export_changes(old, after), *_target_changes(old, after))


def removed_shares(before: Shares | None, after: Shares) -> tuple[tuple[Protocol, str], ...]:
    """Return the protocol and name of each share that is no longer served."""
    if before is None:
        return ()
    places = {(export.dataset, export.path) for export in after.exports}
    names = {target.iqn for target in after.targets}
    exports = [export for export in before.exports if (export.dataset, export.path) not in places]
    targets = [target for target in before.targets if target.iqn not in names]
    return (*((Protocol.NFS, one.name) for one in exports), *((Protocol.ISCSI, one.name) for one in targets))


def use_of(removed: tuple[Protocol, str], clients: Sequence[ConnectedClient]) -> str:
    """Return in a sentence which clients use a removed share; "" if none is known to use it."""
    protocol, name = removed
    share = f"NFS export {name}" if protocol is Protocol.NFS else f"iSCSI target {name}"
    speakers = [client for client in clients if client.protocol is protocol]
    users = [client for client in speakers if name in client.shares]
    if users:
        return f"{share} is removed while clients use it: {_named(list(map(_client, users)))}"
    unsure = [client for client in speakers if not client.shares]
    if not unsure:
        return ""
    return (
        f"{share} is removed, and these clients do not tell which shares they use: {_named(list(map(_client, unsure)))}"
    )


def _client(client: ConnectedClient) -> str:
    return f"{client.address} ({client.name})" if client.name else client.address


def summary(changes: Sequence[ShareChange]) -> str:
    """Return the names of the changed parts in one line."""
    return _named([change.what for change in changes], "; ")


def _common_changes(before: Shares, after: Shares) -> Iterator[ShareChange]:
    if before.nfs is not None and after.nfs is not None and before.hostname != after.hostname:
        now = f"{after.hostname}: another server to NFS clients, which lose their locks"
        yield ShareChange("name of the NFS server", before.hostname or "none", now, "Pair")
    if before.state != after.state and after.state is not None:
        # Nothing moves the contents.
        lost = "; locks and reservations that clients hold now are lost with the next failover" if before.state else ""
        yield ShareChange("state of the servers", before.state or "", f"{after.state}{lost}")
    if after.nfs is not None and before.nfs != after.nfs:
        was = _nfs_words(before.nfs) if before.nfs else ""
        yield ShareChange("NFS server", was, _nfs_words(after.nfs), "NfsServer")
    if after.iscsi is not None and before.iscsi != after.iscsi:
        was = _iscsi_words(before.iscsi) if before.iscsi else ""
        yield ShareChange("iSCSI server", was, _iscsi_words(after.iscsi), "IscsiServer")


def _nfs_words(server: NfsServer) -> str:
    versions = " and ".join(server.versions)
    times = f"lease {server.lease_s} s, grace {server.grace_s} s"
    return f"at {_named(server.addresses)}, version {versions}, {server.threads} threads, {times}"


def _iscsi_words(server: IscsiServer) -> str:
    return f"port {server.port}, silent initiators asked after {server.nop_s} s, login within {server.login_s} s"


def _export_changes(before: Shares, after: Shares) -> Iterator[ShareChange]:
    old = {(export.dataset, export.path): export for export in before.exports}
    new = {(export.dataset, export.path): export for export in after.exports}
    for place in {**old, **new}:
        was, now = old.get(place), new.get(place)
        if was is None and now is not None:
            words = _named([_client_words(clients) for clients in now.clients])
            yield ShareChange(_export_name(now), "", f"{_place(now)} for {words}", f"NfsExport/{now.name}")
        elif was is not None and now is None:
            yield ShareChange(_export_name(was), _place(was), EXPORT_GONE)
        elif was is not None and now is not None:
            yield from _renamed(_export_name(now), was.name, now.name, f"NfsExport/{now.name}")
            less, more = _both([_client_words(one) for one in was.clients], [_client_words(one) for one in now.clients])
            if less or more:
                before_words, after_words = f"clients {less or '…'}", more or "without them"
                yield ShareChange(_export_name(now), before_words, after_words, f"NfsExport/{now.name}")


def _export_name(export: NfsExport) -> str:
    return f"NFS export {export.name}"


def _place(export: NfsExport) -> str:
    return f"{export.dataset}, {export.path}" if export.path else export.dataset


def _client_words(clients: NfsClients) -> str:
    anonymous = ""
    if (clients.anonymous_uid, clients.anonymous_gid) != (65_534, 65_534):
        anonymous = f" anonymous {clients.anonymous_uid}:{clients.anonymous_gid}"
    security = f" {':'.join(clients.security)}" if clients.security != ("sys",) else ""
    return f"{clients.hosts} {clients.access} {clients.squash}{security}{anonymous}"


def _target_changes(before: Shares, after: Shares) -> Iterator[ShareChange]:
    old = {target.iqn: target for target in before.targets}
    new = {target.iqn: target for target in after.targets}
    for iqn in {**old, **new}:
        was, now = old.get(iqn), new.get(iqn)
        if was is None and now is not None:
            luns, initiators = _named(list(map(_lun_words, now.luns))), _named(list(map(_who, now.initiators)))
            words = f"{iqn} at {_named(now.addresses)}: {luns}; for {initiators}"
            yield ShareChange(f"iSCSI target {now.name}", "", words, f"IscsiTarget/{now.name}")
        elif was is not None and now is None:
            yield ShareChange(f"iSCSI target {was.name}", iqn, TARGET_GONE)
        elif was is not None and now is not None:
            yield from _target_parts(was, now)


def _target_parts(was: IscsiTarget, now: IscsiTarget) -> Iterator[ShareChange]:
    name, resource = f"iSCSI target {now.name}", f"IscsiTarget/{now.name}"
    yield from _renamed(name, was.name, now.name, resource)
    if was.addresses != now.addresses:
        yield ShareChange(name, f"at {_named(was.addresses)}", f"at {_named(now.addresses)}", resource)
    old, new = {lun.number: lun for lun in was.luns}, {lun.number: lun for lun in now.luns}
    for number in sorted({*old, *new}):
        less, more = old.get(number), new.get(number)
        if less != more:
            after = more.dataset if more is not None else f"none: {LUN_GONE}"
            if less is not None and more is not None:
                after += f": {LUN_GONE}, and find other data"
            yield ShareChange(f"{name}, LUN {number}", less.dataset if less is not None else "", after, resource)
    come, go = _both(list(map(_who, was.initiators)), list(map(_who, now.initiators)))
    if come or go:
        yield ShareChange(name, f"initiators {come or '…'}", go or "without them, whose sessions end", resource)


def _lun_words(lun: Lun) -> str:
    return f"LUN {lun.number} {lun.dataset}"


def _who(initiator: Initiator) -> str:
    if initiator.chap is None:
        return f"{initiator.iqn} without CHAP"
    mutual = f", mutual {initiator.mutual.user} by {initiator.mutual.secret}" if initiator.mutual is not None else ""
    return f"{initiator.iqn} with CHAP {initiator.chap.user} by {initiator.chap.secret}{mutual}"


def _renamed(what: str, was: str, now: str, resource: str) -> Iterator[ShareChange]:
    if was != now:
        yield ShareChange(what, f"named {was}", f"named {now}; clients notice nothing", resource)


def _both(old: Sequence[str], new: Sequence[str]) -> tuple[str, str]:
    """The items that go, and those that come."""
    before, after = set(old), set(new)
    return _named([item for item in old if item not in after]), _named([item for item in new if item not in before])


def _named(items: Sequence[str], joint: str = ", ") -> str:
    more = f" and {len(items) - NAMED_MAX:,} more" if len(items) > NAMED_MAX else ""
    return joint.join(items[:NAMED_MAX]) + more
