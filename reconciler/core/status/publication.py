"""How far a name is published, as the agent's status shows it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

#: Tries that failed, one after the other, that are more than a moment.
LASTING_FAILURES: Final = 3


class PublicationState(StrEnum):
    """Whether clients find the name."""

    #: This controller is not active: the other one publishes.
    STANDBY = "standby"
    #: The first try is under way.
    WAITING = "waiting"
    PUBLISHED = "published"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class NamePublication:
    """One name in one way: `by` is `dns` or `mdns`; `place` says at which server, empty for mDNS.

    `why` and `remedy` are texts for people while it fails. `failures`: tries that failed, one after the other.
    """

    by: str
    name: str
    addresses: tuple[str, ...]
    place: str = ""
    state: PublicationState = PublicationState.WAITING
    why: str = ""
    remedy: str = ""
    failures: int = 0

    @property
    def subject(self) -> str:
        """What an alert is about."""
        return f"{self.name} in DNS" if self.by == "dns" else f"{self.name} by mDNS"

    def untried(self) -> NamePublication:
        """The same before the first try."""
        return NamePublication(self.by, self.name, self.addresses, self.place)

    def document(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return asdict(self) | {"addresses": list(self.addresses), "state": self.state.value}
