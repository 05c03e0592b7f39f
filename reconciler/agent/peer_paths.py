"""Where the two agents reach each other, and whether the enrolled peer is one that the revision in force names.

The addresses are those of the revisions that were applied and accepted, then those of the node file, then those that
the enrolment found. An address that moves so stays known on the way from one revision to the next.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from reconciler.core.facts.settings import Settings
from reconciler.errors import HagitError, PeerError, PeerErrorCode
from reconciler.system.machine import machine_serial
from reconciler.system.network_links import link_local_addresses

if TYPE_CHECKING:
    from reconciler.agent.session import Session
    from reconciler.system.peer.identity import PeerIdentity


def settings_in_force(session: Session) -> tuple[Settings, ...]:
    """The settings of the revision that was applied, then of the one that should be; none before the first."""
    applied, wanted = session.store.applied(), session.store.accepted().wanted
    revisions = [applied.revision if applied is not None else None, wanted]
    found = []
    for revision in dict.fromkeys(filter(None, revisions)):
        # A revision that is only applied uncommitted, or can no longer be read, gives no address.
        with contextlib.suppress(HagitError):
            found.append(session.content_for(revision).settings)
    return tuple(found)


def peer_addresses(session: Session, identity: PeerIdentity) -> tuple[str, ...]:
    """Where the peer may be found, the best first; IP addresses, link-local ones with their link."""
    found = _of(session, identity.peer_side)
    return tuple(dict.fromkeys((*found, *session.node.peer.addresses, *identity.peer_addresses)))


def own_addresses(session: Session, identity: PeerIdentity) -> tuple[str, ...]:
    """Where the peer may find this controller: no virtual address, for that may be the peer's."""
    links = {address.partition("%")[2] for address in identity.peer_addresses} - {""}
    found = _of(session, identity.side)
    return tuple(dict.fromkeys((*found, *session.node.peer.listen, *link_local_addresses(links))))


def _of(session: Session, side: str) -> list[str]:
    return [address for settings in settings_in_force(session) for _, address in settings.addresses.get(side, ())]


def pair_refusal(session: Session, identity: PeerIdentity) -> HagitError | None:
    """Why the two machines are not the pair of the newest revision: a Pair that gives serial numbers is bound to them.

    None when they are, and when the Pair gives none.
    """
    settings = settings_in_force(session)
    serials = settings[-1].pair.serials if settings else {}
    here = machine_serial(session.node.serial_file)
    for side, found, whose in (
        (identity.side, here, "this"),
        (identity.peer_side, identity.peer_serial, "the enrolled"),
    ):
        named = serials.get(side, "")
        if named and named != found:
            remedy = (
                "run this on the unit that the Pair names, or correct `serial` in the Pair"
                if whose == "this"
                else "enrol the unit that the Pair names: hagit enroll; or correct `serial` in the Pair"
            )
            return PeerError(
                PeerErrorCode.REFUSED,
                f"{whose} controller {side} has the serial number {found!r}, and the Pair names {named!r}",
                "Pair",
                remedy,
            )
    return None
