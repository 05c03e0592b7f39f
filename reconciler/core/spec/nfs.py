"""The kinds NfsExport and NfsServer: which files clients may use over NFS, and how the server of the pair serves.

Decides the shape of one export or server by itself; what it means together with datasets, interfaces and other shares
is `lint/shares`'. An export works without an NfsServer: that one changes what is common to all exports.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field

from reconciler.core.facts.scope import Scope
from reconciler.core.shares.shares import ExportAccess, Squash
from reconciler.core.spec.interface import Loose
from reconciler.core.spec.limits import CLIENTS_MAX, LIST_MAX
from reconciler.core.spec.model import Document, Model, example
from reconciler.core.spec.resource_kind import Asked, ResourceKind
from reconciler.core.spec.share_state import state_facts
from reconciler.core.spec.share_values import ClientHosts, NfsVersion, SharedDataset, SharePath
from reconciler.core.spec.values import Duration, Name, refuse

if TYPE_CHECKING:
    from reconciler.core.spec.configuration import Configuration
    from reconciler.core.spec.topology import ControllerTopology

SecurityFlavour: TypeAlias = Annotated[Literal["sys", "krb5", "krb5i", "krb5p"], Field(examples=["sys"])]

VERSIONS_DEFAULT: Final = ("4.1", "4.2")
#: nfsd(7): lease time and grace time, 10 to 3600 seconds (fs/nfsd/nfsctl.c).
LEASE_S: Final = (10, 3_600)
#: exports(5), anonuid: a user id of 32 bits without the last one, which is no user.
UID_MAX: Final = (1 << 32) - 2
THREADS_MAX: Final = 1_024


def whole_seconds(least: int, most: int, code: str) -> Any:
    """A validator of a duration in whole seconds between two bounds."""

    def check(seconds: float) -> float:
        if not least <= seconds <= most or seconds != int(seconds):
            what = f"{seconds:g} s is not between {least} s and {most} s in whole seconds"
            raise refuse(code, what, f"Write a whole number of seconds from {least}s to {most}s.")
        return seconds

    return AfterValidator(check)


def seconds_field(seconds: int, description: str) -> Any:
    """A field of seconds whose schema shows the default as a person writes it."""
    shown: dict[str, Any] = {"default": f"{seconds}s", "examples": [f"{seconds}s"]}
    return Field(float(seconds), validate_default=False, json_schema_extra=shown, description=description)


def _system_users() -> list[SecurityFlavour]:
    return ["sys"]


class ExportClients(Model):
    """Which clients may use an export, and how: one entry of exports(5)."""

    hosts: ClientHosts = Field(
        description="One address, one network as 10.0.0.0/24, one host name, or `*` for every client. Of several "
        "entries that fit a client, an address counts before a network, and a network before `*`."
    )
    access: Annotated[ExportAccess, Loose] = Field(
        ExportAccess.READ_WRITE, description="`rw` for reading and writing, `ro` for reading alone."
    )
    squash: Annotated[Squash, Loose] = Field(
        Squash.ROOT,
        description="Which users of a client become the anonymous user: root_squash root, all_squash all of them. "
        "With no_root_squash, root of the client is root in these files.",
    )
    security: list[SecurityFlavour] = Field(
        default_factory=_system_users,
        min_length=1,
        max_length=4,
        description="How a client proves its users, in the order of preference. `sys` believes the client; the others "
        "need Kerberos on both controllers, with a keytab for the virtual host name.",
        json_schema_extra={"default": ["sys"]},
    )
    anonymous_uid: int = Field(65_534, ge=0, le=UID_MAX, description="The user id of the anonymous user (anonuid).")
    anonymous_gid: int = Field(65_534, ge=0, le=UID_MAX, description="The group id of the anonymous user (anongid).")


class NfsExportSpec(Model):
    """Files of one dataset for clients of NFS. Clients mount the place at which the dataset is mounted.

    Datasets below it are not part of the export: each needs one of its own.
    """

    dataset: SharedDataset = Field(
        description="The Dataset resource with the files, by its name; a filesystem that is mounted."
    )
    path: SharePath | None = Field(
        None,
        description="A directory in the dataset, relative to its mount point. It has to be there, with no symbolic "
        "link on the way. Without it, all of the dataset is exported.",
    )
    clients: list[ExportClients] = Field(
        min_length=1, max_length=CLIENTS_MAX, description="Which clients may use the export. No other client can."
    )


class NfsExportDocument(Document):
    """Files for clients of NFS. They are served by whichever controller is active."""

    model_config = example("NfsExport", "home", dataset="home", clients=[{"hosts": "10.0.0.0/24"}])

    kind: Literal["NfsExport"] = Field(description="Always `NfsExport`.")
    spec: NfsExportSpec = Field(description="Which files, for which clients.")


class NfsServerSpec(Model):
    """What all exports have in common. There is at most one NfsServer; exports work without it."""

    interfaces: list[Name] = Field(
        default_factory=list,
        max_length=LIST_MAX,
        description="The interfaces at whose virtual addresses clients find the exports, by name. Without it, every "
        "interface with a virtual address.",
    )
    versions: list[NfsVersion] = Field(
        default_factory=lambda: list(VERSIONS_DEFAULT),
        min_length=1,
        max_length=4,
        description="The versions of NFS that are served. 4.0 costs time after each failover: its clients never say "
        "that they have reclaimed their locks, so the grace period runs to its end. 3 is not supported yet: it is not "
        "served, and the status says so.",
        json_schema_extra={"default": list(VERSIONS_DEFAULT)},
    )
    threads: int = Field(
        16, ge=1, le=THREADS_MAX, description="How many threads of the kernel serve requests.", examples=[16]
    )
    lease: Annotated[Duration, whole_seconds(*LEASE_S, "nfs-time")] = seconds_field(
        15,
        "How long a client keeps its locks without renewing them. Clients of Linux wait at most half of it between two "
        "tries to connect.",
    )
    grace: Annotated[Duration, whole_seconds(*LEASE_S, "nfs-time")] = seconds_field(
        15,
        "How long clients may reclaim their locks after a failover; until then no client gets a new one. It ends "
        "earlier when all known clients have reclaimed.",
    )
    pool: Name | None = Field(
        None,
        description="The pool whose dataset hagit-state keeps what the servers know of their clients, for NFS and "
        "iSCSI together. Needed when the shares are in several pools.",
    )


class NfsServerDocument(Document):
    """The NFS server of the pair: addresses, versions, threads and times."""

    model_config = example("NfsServer", "nfs", versions=["4.1", "4.2"], threads=32)

    kind: Literal["NfsServer"] = Field(description="Always `NfsServer`.")
    spec: NfsServerSpec = Field(description="What all exports have in common.")


def nfs_server_facts(configuration: Configuration, here: ControllerTopology) -> Iterator[Asked]:
    """The state dataset, which shares of every protocol ask for; also without an NfsServer."""
    yield from state_facts(configuration)


NFS_EXPORT = ResourceKind("NfsExport", NfsExportDocument, NfsExportSpec, Scope.SHARES)
NFS_SERVER = ResourceKind(
    "NfsServer", NfsServerDocument, NfsServerSpec, Scope.SHARES, single=True, facts=nfs_server_facts
)
