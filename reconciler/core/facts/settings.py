"""What a revision asks of the agent itself: whom it follows, whom it trusts, whom it tells, how it treats drift.

Plain values with a JSON form. Does not know how they are written in YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reconciler.core.facts.virtual_name import VirtualName, virtual_name_from_document


class UnsignedPolicy(StrEnum):
    """What happens to a commit without a trusted signature, from lax to strict. A forged or revoked one is refused."""

    ACCEPT = "accept"
    WARN = "warn"
    REFUSE = "refuse"


class Applying(StrEnum):
    """Whether a new commit is applied by itself."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class AlonePolicy(StrEnum):
    """What becomes of a push to the pair while the peer cannot take part in it."""

    REFUSE = "refuse"
    ACCEPT = "accept"


@dataclass(frozen=True, slots=True)
class PairNames:
    """The controllers by "a" and "b", those that are described; serial numbers only where they are given."""

    name: str
    hostnames: Mapping[str, str]
    serials: Mapping[str, str] = field(default_factory=dict)
    virtual_hostname: str | None = None
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class SourcePolicy:
    """Which commits are followed. `remotes` are URLs or absolute paths, in the order in which they are tried.

    `push_keys`: SSH public keys that may push to a pair that hosts its repository itself; `push_alone`: whether it
    takes a push that the peer cannot take.
    """

    remotes: tuple[str, ...]
    branch: str = "main"
    interval_s: float = 60.0
    trusted_signers: tuple[str, ...] = ()
    unsigned: UnsignedPolicy = UnsignedPolicy.REFUSE
    apply: Applying = Applying.AUTOMATIC
    push_keys: tuple[str, ...] = ()
    push_alone: AlonePolicy = AlonePolicy.REFUSE


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver of signed CloudEvents. `secret_file` and `url_file` are paths on the controller."""

    url: str
    secret_file: str | None = None
    url_file: str = ""


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """Who is told. `notify` are paths of files that hold Apprise URLs."""

    alertmanager: tuple[str, ...] = ()
    webhooks: tuple[Receiver, ...] = ()
    notify: tuple[str, ...] = ()


class Confirmation(StrEnum):
    """Who keeps a change that could cut this controller off. AUTO: probes or a person, MANUAL: a person.

    NEVER: no change is taken back by itself.
    """

    AUTO = "auto"
    MANUAL = "manual"
    NEVER = "never"


class InterfaceEdits(StrEnum):
    """When interfaces may be changed. ROLLING: any time, standby first. LOCKED: only while failover is disabled."""

    ROLLING = "rolling"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class ChangePolicy:
    """How a change that could cut this controller off is made. Without a confirmation it is taken back after
    `timeout_s`."""

    confirm: Confirmation = Confirmation.AUTO
    timeout_s: float = 60.0
    edits: InterfaceEdits = InterfaceEdits.ROLLING


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything in a revision that is about the agent and not about the network. No Source: None.

    `addresses`: by controller, each static address without its prefix, with the interface that has it; those of
    interlinks first. There the agents reach each other.
    """

    pair: PairNames
    source: SourcePolicy | None = None
    alerting: AlertPolicy = field(default_factory=AlertPolicy)
    addresses: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    virtual_name: VirtualName = field(default_factory=VirtualName)
    changes: ChangePolicy = field(default_factory=ChangePolicy)


def source_from_document(document: Mapping[str, Any] | None) -> SourcePolicy | None:
    """The source policy in a JSON document."""
    if document is None:
        return None
    return SourcePolicy(
        remotes=tuple(document["remotes"]),
        branch=document["branch"],
        interval_s=document["interval_s"],
        trusted_signers=tuple(document["trusted_signers"]),
        unsigned=UnsignedPolicy(document["unsigned"]),
        apply=Applying(document["apply"]),
        # An older release wrote neither.
        push_keys=tuple(document.get("push_keys", ())),
        push_alone=AlonePolicy(document.get("push_alone", AlonePolicy.REFUSE)),
    )


def settings_from_document(document: Mapping[str, Any]) -> Settings:
    """The settings whose `dataclasses.asdict` went through JSON."""
    alerting, changes = document["alerting"], document.get("changes")
    return Settings(
        PairNames(**document["pair"]),
        source_from_document(document["source"]),
        AlertPolicy(
            alertmanager=tuple(alerting["alertmanager"]),
            webhooks=tuple(Receiver(**webhook) for webhook in alerting["webhooks"]),
            notify=tuple(alerting["notify"]),
        ),
        # An older release stored none.
        {
            side: tuple((interface, address) for interface, address in placed)
            for side, placed in document.get("addresses", {}).items()
        },
        virtual_name_from_document(document.get("virtual_name")),
        # What an older release cached lacks it.
        _changes_from_document(changes) if changes else ChangePolicy(),
    )


def _changes_from_document(document: Mapping[str, Any]) -> ChangePolicy:
    edits = InterfaceEdits(document.get("edits", InterfaceEdits.ROLLING))
    return ChangePolicy(Confirmation(document["confirm"]), document["timeout_s"], edits)
