"""Identities of two controllers that trust each other, and of a third machine."""

from datetime import UTC, datetime
from functools import lru_cache

from reconciler.system.peer.certificate import NOT_AFTER, NOT_BEFORE, new_credentials
from reconciler.system.peer.identity import PeerIdentity


@lru_cache
def two_identities(
    not_before: datetime = NOT_BEFORE, not_after: datetime = NOT_AFTER
) -> tuple[PeerIdentity, PeerIdentity]:
    """Controllers a and b of the pair `shelf`."""
    a, b = (new_credentials(name, not_before=not_before, not_after=not_after) for name in ("shelf-a", "shelf-b"))
    return (
        PeerIdentity("shelf", "a", "SERIAL-A", "SERIAL-B", a.key, a.certificate, (b.certificate,)),
        PeerIdentity("shelf", "b", "SERIAL-B", "SERIAL-A", b.key, b.certificate, (a.certificate,)),
    )


#: A certificate that is not valid yet, and one that has expired: the clock of the machine is 1970 or 2099 to them.
FUTURE = datetime(2099, 1, 1, tzinfo=UTC), datetime(2099, 1, 2, tzinfo=UTC)
PAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 2, tzinfo=UTC)
