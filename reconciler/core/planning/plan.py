"""The plan and its parts: plain values, printed, saved, compared and performed, and never changed.

A plan leaves no choice to the executor, and each of its parts has a reason: every action says which difference it
removes, every held action names its gate, and an empty plan is a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from reconciler.core.facts.change import ActionStage, ActionVerb, Impact
from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.state import NO_FACTS, Facts, Origin


@dataclass(frozen=True, slots=True)
class Blame:
    """Who asks for a change. `signer` is the principal whose signature was verified, empty when there is none."""

    commit: str
    author: str
    signer: str
    summary: str


@dataclass(frozen=True, slots=True)
class Action:
    """One change of one fact. CREATE has no `before`, REMOVE has no `after`.

    `consequences` are facts that stop being true by themselves when this is done (the addresses of a removed link).
    `resource` is `Interface/storage0`, or empty when nothing desired stands behind a removal any more.
    """

    stage: ActionStage
    verb: ActionVerb
    before: Fact | None
    after: Fact | None
    reason: str
    impact: Impact
    resource: str = ""
    origin: Origin | None = None
    blame: Blame | None = None
    consequences: tuple[Fact, ...] = ()

    @property
    def key(self) -> Key:
        """The key of the fact that changes."""
        fact = self.after if self.after is not None else self.before
        assert fact is not None
        return fact.key


class Gate(StrEnum):
    """The checks that can hold an action."""

    UNKNOWN = "unknown"
    FOREIGN = "foreign"
    MTU_LIMIT = "mtu-limit"
    IGNORED = "ignored"
    VIRTUAL = "virtual"
    NIC = "nic"
    UNREACHABLE = "unreachable"
    WAITS = "waits"
    ABSENT = "absent"
    FIXED = "fixed"
    PROTECTED = "protected"
    DATA_LOSS = "data-loss"
    REFUSED = "refused"


#: The way out where something could not be read (`Gate.UNKNOWN`).
LOOKS_AGAIN: Final = "hagit looks again; mend what is named here if it stays"


class GateRefusal(NamedTuple):
    """The gate that refuses, why, and the way out."""

    gate: Gate
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class HeldChange:
    """A difference that will not be acted on, the gate that says so, and the way out."""

    key: Key
    gate: Gate
    why: str
    remedy: str
    origin: Origin | None = None
    resource: str = ""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Something on a managed link that hagit did not make, or a dataset that nothing asks for any more: left alone."""

    fact: Fact
    note: str


@dataclass(frozen=True, slots=True)
class Base:
    """What a plan was made from: the revision (`main@3f2c1ab…`, full commit id) and a digest of the relevant facts."""

    controller: str
    revision: str
    digest: str


@dataclass(frozen=True, slots=True)
class OrdersChange:
    """One part of the watchdog's orders that will change, in words. `before` is empty when there are no orders yet.

    `origin`: the place in the YAML that asks for it, where one place does. Two changes are equal if their words are.
    """

    what: str
    before: str
    after: str
    origin: Origin | None = field(default=None, compare=False)
    blame: Blame | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done on one controller, in this order.

    `before` and `after` hold the facts of every key that the desired state manages or an action touches, as observed
    and as predicted. `warnings` are sentences about other network managers and the like. `orders` are published last,
    after every action. `notes` are sentences about what is none of this controller's business now.
    """

    base: Base
    actions: tuple[Action, ...] = ()
    holds: tuple[HeldChange, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    warnings: tuple[str, ...] = ()
    before: Facts = field(default_factory=lambda: NO_FACTS)
    after: Facts = field(default_factory=lambda: NO_FACTS)
    names: Mapping[str, str] = field(default_factory=dict)
    orders: tuple[OrdersChange, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def impact(self) -> Impact:
        """The worst that any action does."""
        return max((action.impact for action in self.actions), default=Impact.NONE)
