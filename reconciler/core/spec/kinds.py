"""Every kind of resource, in the order in which documents and messages list them. A new kind is one line here."""

from __future__ import annotations

from typing import Any, Final

from reconciler.core.spec.alerting import ALERTING, KIND_NAMES
from reconciler.core.spec.dataset import DATASET
from reconciler.core.spec.failover import FAILOVER
from reconciler.core.spec.interface import INTERFACE
from reconciler.core.spec.iscsi import ISCSI_SERVER, ISCSI_TARGET
from reconciler.core.spec.nfs import NFS_EXPORT, NFS_SERVER
from reconciler.core.spec.pair import PAIR
from reconciler.core.spec.pool import POOL
from reconciler.core.spec.resource_kind import ResourceKind
from reconciler.core.spec.route import ROUTE
from reconciler.core.spec.source import SOURCE

_ALL: Final[tuple[ResourceKind[Any], ...]] = (
    PAIR, INTERFACE, ROUTE, SOURCE, ALERTING, FAILOVER, POOL, DATASET, NFS_EXPORT, NFS_SERVER, ISCSI_TARGET,
    ISCSI_SERVER,
)  # fmt: skip

#: By the name that `kind:` gives.
KINDS: Final[dict[str, ResourceKind[Any]]] = {kind.name: kind for kind in _ALL}
KIND_NAMES.extend(KINDS)
