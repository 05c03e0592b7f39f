"""The kinds IscsiTarget and IscsiServer: which volumes initiators may use, and how the targets of the pair serve.

Decides the shape of one target or server by itself; what it means together with datasets, interfaces and other targets
is `lint/shares`'. A target works without an IscsiServer. Secrets have no place here: only their names.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from reconciler.core.facts.scope import Scope
from reconciler.core.spec.limits import CLIENTS_MAX, LIST_MAX
from reconciler.core.spec.model import Document, Model, example
from reconciler.core.spec.nfs import seconds_field, whole_seconds
from reconciler.core.spec.resource_kind import ResourceKind
from reconciler.core.spec.share_values import ChapUser, IscsiName, SecretName, SharedDataset
from reconciler.core.spec.values import Duration, Name, refuse

#: SAM-5, peripheral device addressing method: one byte, which every initiator understands.
LUN_MAX: Final = 255
#: drivers/target/iscsi/iscsi_target_core.h: NOPIN_TIMEOUT and TA_LOGIN_TIMEOUT, least and most.
NOP_S: Final = (3, 60)
LOGIN_S: Final = (5, 30)


class TargetLun(Model):
    """One logical unit of a target."""

    lun: int = Field(ge=0, le=LUN_MAX, description="The number by which initiators see it.", examples=[0])
    dataset: SharedDataset = Field(
        description="The Dataset resource with the blocks, by its name; a volume with `sync: always`, because an "
        "initiator does not repeat writes that were answered before a failover."
    )


class ChapCredentials(Model):
    """A user and the name of its secret (RFC 7143, 12.1.3)."""

    user: ChapUser = Field(description="The user of CHAP, which is no secret.")
    secret: SecretName = Field(
        description="The name of the secret. [chap] of each node file says which file holds it; the secret itself "
        "never stands in git."
    )


class TargetInitiator(Model):
    """A machine that may log in."""

    iqn: IscsiName = Field(description="The iSCSI name of the initiator, as its InitiatorName file says.")
    chap: ChapCredentials | None = Field(
        None, description="How the initiator proves itself. Without it, its name alone lets it in."
    )
    mutual: ChapCredentials | None = Field(
        None, description="How the target proves itself to the initiator; only together with `chap`."
    )

    @model_validator(mode="after")
    def _both_ways(self) -> TargetInitiator:
        if self.mutual is not None and self.chap is None:
            remedy = "Add chap: {user: …, secret: NAME}: a target proves itself only to an initiator that does, too."
            raise refuse("chap-mutual", "`mutual` stands without `chap`", remedy)
        if self.mutual is not None and self.chap is not None and self.mutual.secret == self.chap.secret:
            remedy = "Give each direction a secret of its own, or a challenge that is sent back answers itself."
            raise refuse("chap-mutual", f"both directions use the secret `{self.chap.secret}`", remedy)
        return self


class IscsiTargetSpec(Model):
    """Volumes for initiators. The serial number of a LUN comes from its volume: it is the same on both controllers."""

    iqn: IscsiName = Field(description="The iSCSI name of the target. Initiators remember it: never change it.")
    interfaces: list[Name] = Field(
        default_factory=list,
        max_length=LIST_MAX,
        description="The interfaces whose virtual addresses are the portals, by name. Without it, every interface with "
        "a virtual address.",
    )
    luns: list[TargetLun] = Field(min_length=1, max_length=LUN_MAX + 1, description="The logical units.")
    initiators: list[TargetInitiator] = Field(
        min_length=1, max_length=CLIENTS_MAX, description="Which initiators may log in. No other initiator can."
    )


class IscsiTargetDocument(Document):
    """Volumes for initiators of iSCSI. They are served by whichever controller is active."""

    model_config = example(
        "IscsiTarget",
        "vm",
        iqn="iqn.2026-01.org.example:vm",
        luns=[{"lun": 0, "dataset": "vm1"}],
        initiators=[
            {"iqn": "iqn.1993-08.org.debian:01:hypervisor1", "chap": {"user": "hypervisor1", "secret": "hypervisor1"}}
        ],
    )

    kind: Literal["IscsiTarget"] = Field(description="Always `IscsiTarget`.")
    spec: IscsiTargetSpec = Field(description="Which volumes, for which initiators.")


class IscsiServerSpec(Model):
    """What all targets have in common. There is at most one IscsiServer; targets work without it."""

    port: int = Field(3_260, ge=1, le=65_535, description="The TCP port of every portal.")
    nop: Annotated[Duration, whole_seconds(*NOP_S, "iscsi-time")] = seconds_field(
        5, "After how much silence an initiator is asked whether it is still there (NOP-In)."
    )
    login: Annotated[Duration, whole_seconds(*LOGIN_S, "iscsi-time")] = seconds_field(
        10, "How long the login of an initiator may take."
    )
    pool: Name | None = Field(
        None,
        description="The pool whose dataset hagit-state keeps persistent reservations of initiators, for NFS and iSCSI "
        "together. Needed when the shares are in several pools.",
    )


class IscsiServerDocument(Document):
    """The iSCSI server of the pair: port and times."""

    model_config = example("IscsiServer", "iscsi", port=3260, nop="5s")

    kind: Literal["IscsiServer"] = Field(description="Always `IscsiServer`.")
    spec: IscsiServerSpec = Field(description="What all targets have in common.")


ISCSI_TARGET = ResourceKind("IscsiTarget", IscsiTargetDocument, IscsiTargetSpec, Scope.SHARES)
ISCSI_SERVER = ResourceKind("IscsiServer", IscsiServerDocument, IscsiServerSpec, Scope.SHARES, single=True)
