"""What is desired of a controller and what is observed of it: sets of facts, and what surrounds them.

Unknown is neither present nor absent: a scope that could not be read is listed in `Observed.unknown`, and nothing
may be concluded about any key inside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.ownership import Owner

Facts: TypeAlias = Mapping[Key, Fact]

NO_FACTS: Facts = MappingProxyType({})


def facts_by_key(facts: Iterable[Fact]) -> Facts:
    """A set of facts. Two facts with one key are a defect of the caller."""
    result: dict[Key, Fact] = {}
    for fact in facts:
        assert result.get(fact.key, fact) == fact, f"two answers to {fact.key}: {result[fact.key]} and {fact}"
        result[fact.key] = fact
    return MappingProxyType(result)


@dataclass(frozen=True, slots=True)
class Unknown:
    """Facts whose key starts with `scope` could not be read, and why. The empty scope is everything."""

    scope: Key
    why: str

    def covers(self, key: Key) -> bool:
        """True when nothing may be concluded about `key`."""
        return key[: len(self.scope)] == self.scope


@dataclass(frozen=True, slots=True)
class Nic:
    """A link that exists, by everything a person may call it.

    `mac` is the permanent address where the driver tells one, else the current; lower case, colons. `path` is the
    device path in the form udev's ID_PATH has (`pci-0000:03:00.0`), empty for virtual links. MTU limits in bytes,
    0 where the driver states none. `carrier` is None where it cannot be read (link down). `altnames` are further names
    that the kernel knows the link by; `ipv6` is False where IPv6 is switched off on this link (disable_ipv6).
    """

    name: str
    mac: str
    path: str = ""
    driver: str = ""
    virtual: bool = False
    mtu_min: int = 0
    mtu_max: int = 0
    carrier: bool | None = None
    altnames: tuple[str, ...] = ()
    ipv6: bool = True


@dataclass(frozen=True, slots=True)
class NicMatch:
    """How a resource finds its NIC on one controller: exactly one of the three is set; `path` may end in `*`."""

    mac: str | None = None
    path: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        for word, value in (("MAC", self.mac), ("path", self.path), ("name", self.name)):
            if value is not None:
                return f"{word} {value}"
        raise AssertionError("a match without a criterion")


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """The place in the YAML that asks for a fact. `resource` is `Kind/name`; line and column count from 1."""

    file: str
    line: int
    column: int
    resource: str


class Placement(StrEnum):
    """Whether the pools belong here. ACTIVE: the watchdog says so. STANDBY: they do not, or it is unknown.

    UNWATCHED: no watchdog places them; whichever controller has a pool imported is the one to see to it.
    """

    ACTIVE = "active"
    STANDBY = "standby"
    UNWATCHED = "unwatched"


class DriftMode(StrEnum):
    """What happens when reality leaves the desired state by itself."""

    IGNORE = "ignore"
    WARN = "warn"
    HEAL = "heal"


@dataclass(frozen=True, slots=True)
class DriftPolicy:
    """Drift mode by resource (`Interface/storage0`), then by kind (`Interface`), then the default."""

    default: DriftMode = DriftMode.WARN
    kinds: Mapping[str, DriftMode] = field(default_factory=dict)
    resources: Mapping[str, DriftMode] = field(default_factory=dict)

    def mode(self, resource: str) -> DriftMode:
        """The mode that holds for one resource."""
        kind = resource.partition("/")[0]
        return self.resources.get(resource, self.kinds.get(kind, self.default))


@dataclass(frozen=True, slots=True)
class Desired:
    """What one controller should be.

    `facts` name links by resource; `matches` says how each physical resource finds its NIC. `origins` has an entry
    for every desired fact. `virtual` lists the addresses (with prefix) that the watchdog places: whatever carries
    one of them is none of the agent's business. `destroy` lists datasets that shall not be: their keys, and whether
    they are protected against it. `alone`: there is no other controller that could have a pool that is not here.
    """

    controller: str
    facts: Facts = field(default_factory=lambda: NO_FACTS)
    matches: Mapping[str, NicMatch] = field(default_factory=dict)
    match_origins: Mapping[str, Origin] = field(default_factory=dict)
    origins: Mapping[Key, Origin] = field(default_factory=dict)
    virtual: frozenset[str] = frozenset()
    drift: DriftPolicy = field(default_factory=DriftPolicy)
    destroy: Mapping[Key, bool] = field(default_factory=dict)
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """What one controller is: one look.

    `owners` has an entry for every fact that is not FOREIGN. `managers` names other network managers that claim a
    link (`systemd-networkd`, `NetworkManager`, `ifupdown`, `netplan`). Of pools and datasets only those are looked at
    that are asked for, and what carries hagit's stamp; `placement_why` says in words why the placement is what it is.
    """

    facts: Facts = field(default_factory=lambda: NO_FACTS)
    owners: Mapping[Key, Owner] = field(default_factory=dict)
    nics: Mapping[str, Nic] = field(default_factory=dict)
    unknown: tuple[Unknown, ...] = ()
    managers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    placement: Placement = Placement.UNWATCHED
    placement_why: str = ""

    def owner(self, key: Key) -> Owner:
        """Who made the fact with this key."""
        return self.owners.get(key, Owner.FOREIGN)

    def why_unknown(self, key: Key) -> str | None:
        """Why nothing may be concluded about `key`, or None when the look covers it."""
        return next((scope.why for scope in self.unknown if scope.covers(key)), None)
