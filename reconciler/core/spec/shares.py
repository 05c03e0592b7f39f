"""The shares of a configuration, as the watchdogs serve them: both controllers get the same.

Decides which virtual addresses serve a share, and the defaults of a pair without an NfsServer or an IscsiServer.
Whether the resources fit together is `lint`'s. No share is a fact: like virtual addresses, shares have one writer, the
watchdog.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from reconciler.core.facts.state import Origin
from reconciler.core.shares.shares import (
    Chap,
    Initiator,
    IscsiServer,
    IscsiTarget,
    Lun,
    NfsClients,
    NfsExport,
    NfsServer,
    Shares,
)
from reconciler.core.spec.configuration import Configuration, Resource, Resources
from reconciler.core.spec.interface import InterfaceSpec
from reconciler.core.spec.iscsi import ChapCredentials, IscsiServerSpec, IscsiTargetSpec, TargetInitiator
from reconciler.core.spec.nfs import ExportClients, NfsExportSpec, NfsServerSpec
from reconciler.core.spec.share_state import state_dataset


def serving_interfaces(names: Iterable[str], resources: Resources) -> Iterator[Resource[InterfaceSpec]]:
    """The interfaces that serve a share: those with these names, without any name all; each has a virtual address."""
    chosen = tuple(names)
    for interface in resources.interfaces.values():
        if interface.spec.virtual is not None and (not chosen or interface.name in chosen):
            yield interface


def shares_of(configuration: Configuration) -> Shares:
    """The shares of a configuration that is free of defects."""
    nfs, iscsi = configuration.nfs_server, configuration.iscsi_server
    exports, targets = configuration.exports.values(), configuration.targets.values()
    return Shares(
        pair=configuration.pair.name,
        hostname=configuration.pair.spec.virtual_hostname,
        state=state_dataset(configuration),
        nfs=_nfs_server(nfs.spec if nfs is not None else None, configuration) if exports else None,
        exports=tuple(_export(export, configuration) for export in exports),
        iscsi=_iscsi_server(iscsi.spec if iscsi is not None else None) if targets else None,
        targets=tuple(_target(target, configuration) for target in targets),
    )


def share_origins(configuration: Configuration) -> dict[str, Origin]:
    """Where each share is written, by Kind/name; the servers and the Pair by their kind alone."""
    servers: list[Resource[Any] | None] = [configuration.nfs_server, configuration.iscsi_server, configuration.pair]
    found = {server.kind: server.origin() for server in servers if server is not None}
    # Where a change is most likely, so that blame finds the commit that made it.
    exports = {export.id: export.origin("clients") for export in configuration.exports.values()}
    return found | exports | {target.id: target.origin("luns") for target in configuration.targets.values()}


def _addresses(names: Iterable[str], configuration: Configuration) -> tuple[str, ...]:
    """The virtual addresses that serve, without the lengths of their prefixes."""
    interfaces = serving_interfaces(names, configuration)
    found = (interface.spec.virtual for interface in interfaces)
    return tuple(str(address.ip) for virtual in found if virtual is not None for _, address in virtual.all())


def _nfs_server(written: NfsServerSpec | None, configuration: Configuration) -> NfsServer:
    spec = written or NfsServerSpec.model_validate({})
    return NfsServer(
        addresses=_addresses(spec.interfaces, configuration),
        versions=tuple(sorted(set(spec.versions))),
        threads=spec.threads,
        lease_s=int(spec.lease),
        grace_s=int(spec.grace),
    )


def _export(export: Resource[NfsExportSpec], configuration: Configuration) -> NfsExport:
    spec = export.spec
    dataset = configuration.datasets[spec.dataset].spec.dataset
    return NfsExport(export.name, dataset, tuple(map(_clients, spec.clients)), spec.path)


def _clients(clients: ExportClients) -> NfsClients:
    return NfsClients(
        hosts=clients.hosts,
        access=clients.access,
        squash=clients.squash,
        security=tuple(dict.fromkeys(clients.security)),
        anonymous_uid=clients.anonymous_uid,
        anonymous_gid=clients.anonymous_gid,
    )


def _iscsi_server(written: IscsiServerSpec | None) -> IscsiServer:
    spec = written or IscsiServerSpec.model_validate({})
    return IscsiServer(spec.port, int(spec.nop), int(spec.login))


def _target(target: Resource[IscsiTargetSpec], configuration: Configuration) -> IscsiTarget:
    spec = target.spec
    luns = [Lun(lun.lun, configuration.datasets[lun.dataset].spec.dataset) for lun in spec.luns]
    return IscsiTarget(
        name=target.name,
        iqn=spec.iqn,
        addresses=_addresses(spec.interfaces, configuration),
        luns=tuple(sorted(luns, key=lambda lun: lun.number)),
        initiators=tuple(map(_initiator, spec.initiators)),
    )


def _initiator(initiator: TargetInitiator) -> Initiator:
    return Initiator(initiator.iqn, _chap(initiator.chap), _chap(initiator.mutual))


def _chap(credentials: ChapCredentials | None) -> Chap | None:
    return None if credentials is None else Chap(credentials.user, credentials.secret)
