"""Settings of the host: facts that rest on no link and no pool, and that change nothing but themselves.

A kind of setting is a subclass of `HostSetting` and a `FactKind`. Planning, prediction and the simulated network treat
all of them alike, so a new kind changes none of them. Hostname and resolver are the two that every pair has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from reconciler.core.facts.change import ActionStage
from reconciler.core.facts.fact_kind import FactKind


class HostSetting:
    """A fact that depends on no other fact. A subclass is a frozen dataclass with slots."""

    __slots__: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """The question this fact answers; its first word is the `word` of its kind."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Hostname(HostSetting):
    """The name of this controller, in the kernel and in /etc/hostname."""

    name: str

    @property
    def key(self) -> tuple[str, ...]:
        """The question this fact answers."""
        return ("hostname",)


@dataclass(frozen=True, slots=True)
class Resolver(HostSetting):
    """Name servers and search domains of resolv.conf(5), in their order."""

    nameservers: tuple[str, ...]
    search: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """The question this fact answers."""
        return ("resolver",)


def _resolver_value(resolver: Resolver) -> str:
    search = f", search {' '.join(resolver.search)}" if resolver.search else ""
    return f"{' '.join(resolver.nameservers) or 'no name servers'}{search}"


#: The kinds of facts of this module, with their words and their form in documents.
HOST_KINDS: Final[tuple[FactKind[Any], ...]] = (
    FactKind("hostname", Hostname, lambda hostname: hostname.name, lambda _: "hostname", stage=ActionStage.HOSTNAME),
    FactKind(
        "resolver",
        Resolver,
        _resolver_value,
        lambda _: "resolver",
        stage=ActionStage.RESOLVER,
        read=lambda fields: {name: tuple(value) for name, value in fields.items()},
    ),
)
