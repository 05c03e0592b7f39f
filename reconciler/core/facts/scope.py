"""Which parts of the desired state a signer may change: six scopes, and the table of the node file that gives them.

Decides what a table gives to one signer. Which scope a change needs is decided in `core/spec/commit_changes`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """A part of the desired state. `destroy` comes on top of `storage`: it is about the loss of data."""

    NETWORK = "network"
    STORAGE = "storage"
    SHARES = "shares"
    FAILOVER = "failover"
    SOURCE = "source"
    DESTROY = "destroy"


EVERYTHING: Final = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Scopes:
    """Scopes by signer: a principal of allowed_signers or a fingerprint. `default`: for signers that are not named."""

    named: Mapping[str, frozenset[Scope]] = field(default_factory=dict)
    default: frozenset[Scope] = EVERYTHING

    def of(self, names: Collection[str], claimed: str = "") -> frozenset[Scope]:
        """What a signer may change who is proven to have these names.

        Of several names that are listed only what all of them have counts. `claimed` is a name that the signer chose
        (a user id of OpenPGP): it can take scopes away, and never gives any.
        """
        lists = [self.named[name] for name in sorted(set(names)) if name in self.named] or [self.default]
        if claimed in self.named:
            lists.append(self.named[claimed])
        return frozenset.intersection(*lists)

    def spelled(self) -> str:
        """The whole table as text: equal for equal tables, whatever the order in the file."""
        lists = {name: sorted(scopes) for name, scopes in self.named.items()}
        return repr((sorted(lists.items()), sorted(self.default)))
