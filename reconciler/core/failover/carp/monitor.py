"""Monitor of CARP on one interface: which senders advertise our virtual host, and which faults they show.

Classifies each packet: of the peer, of a stranger, with a wrong password, replayed, or our own reflected. No
advertisement counts as a sign of life of the peer: it carries no echo, so it could be a recording. The results go to
people and to `election`.

Replays: the counter of one source must rise as long as this daemon lives. The first counter of a new source is
accepted. The counters of hagit also rise over restarts (`first_counter`). Those of others do not: ucarp and FreeBSD
draw a random counter for each advertisement until they have heard another member, and then continue from its counter.
If the peer may be one of these (`Parties.rising`), only recently heard counters count as replayed.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from reconciler.core.failover.carp.advertisement import LEAVING, Advertisement
from reconciler.core.failover.carp.election import CarpRole, master_down_ms
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.reservations.key import Side

Address = IPv4Address | IPv6Address

#: Keep apart at most this many senders with the password; forget the one that was silent longest.
SOURCES_MAX: Final = 16
#: Remember this many counters of a sender whose counters need not rise.
RECENT_MAX: Final = 256
#: Incarnations are at least seconds apart, and no sender advertises 2**32 times a second.
INCARNATION_BITS: Final = 32
#: At 256 advertisements a second, enough for a century of one life of the daemon.
LIFE_BITS: Final = 40


class PacketKind(StrEnum):
    """Kind of a packet. The value is the name of its count in `Overheard`."""

    GOOD = "good"
    PASSWORD = "password"
    STRANGER = "stranger"
    REPLAYED = "replayed"
    REFLECTED = "reflected"
    FOREIGN = "foreign"


class CarpFact(StrEnum):
    """A fault on an interface. The value is the name of its count in `Overheard`."""

    PASSWORD = "password"
    STRANGER = "stranger"
    REPLAYED = "replayed"
    BOTH_MASTER = "both_master"


@dataclass(frozen=True, slots=True)
class Tally:
    """Number of packets, time and source of the last. `knows_password`: the last was sealed with our password."""

    count: int = 0
    last_ms: int = 0
    source: Address | None = None
    knows_password: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """Counters of one sender that knows the password: the highest and the latest ones."""

    source: Address
    highest: int
    recent: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Overheard:
    """Packets of one virtual host that one interface received since the daemon started.

    good         of the peer, new                       replayed    authentic, but not new
    password     of the peer, with another password     reflected   our own, reflected by the network
    stranger     neither ours nor the peer's: another machine uses our VHID, in CARP or in VRRP
    foreign      not of our virtual host: another VHID or version, or damaged
    both_master  those of `good`, except `LEAVING`, that arrived while this controller advertised, too
    master       the last good one and its sender
    """

    good: Tally = field(default_factory=Tally)
    password: Tally = field(default_factory=Tally)
    stranger: Tally = field(default_factory=Tally)
    replayed: Tally = field(default_factory=Tally)
    reflected: Tally = field(default_factory=Tally)
    foreign: Tally = field(default_factory=Tally)
    both_master: Tally = field(default_factory=Tally)
    master: Advertisement | None = None
    known: tuple[Known, ...] = ()


@dataclass(frozen=True, slots=True)
class Parties:
    """The known senders on the interface.

    own     this controller's addresses
    peer    the peer's addresses; None: unknown. Then `life` tells the peer, and without `life` every other sender
    counts
            as the peer
    life    the counters of the peer's present life (`counters_of`), as its beats report. A sender with the password but
            other counters is a stranger. Once the peer was heard, a sender from elsewhere with a wrong password is, too
    sent    the counters that this daemon has sent; they identify a reflected packet without a source address
    rising  the peer is hagit, so its counters rise
    """

    own: Set[Address]
    peer: Set[Address] | None = None
    life: range | None = None
    sent: range = range(0)
    rising: bool = True


def first_counter(incarnation: int, side: Side) -> int:
    """Return the first counter of a daemon, above all of its earlier lives as long as incarnations rise with time.

    Both sides may have the same incarnation, so side B begins in the middle of the range.
    """
    incarnation &= (1 << INCARNATION_BITS) - 1
    return incarnation << INCARNATION_BITS | (side is Side.B) << INCARNATION_BITS - 1


def counters_of(incarnation: int, side: Side) -> range:
    """Return all counters that a daemon may send in one life."""
    first = first_counter(incarnation, side)
    return range(first, min(first + (1 << LIFE_BITS), 1 << 64))


def overhear(
    overheard: Overheard,
    packet: Advertisement | Refused,
    source: Address,
    parties: Parties,
    now_ms: int,
    *,
    advertising: bool = False,
) -> tuple[Overheard, PacketKind]:
    """Return the counts after one packet, and its kind. `advertising`: this controller is master itself."""
    if isinstance(packet, Refused):
        what = _unsealed(overheard, packet, source, parties)
        return _counted(overheard, what, source, now_ms), what
    what = _sealed(overheard, packet, source, parties)
    overheard = _counted(overheard, what, source, now_ms, knows_password=True)
    if what is not PacketKind.GOOD:
        return overheard, what
    known = _remembered(overheard.known, source, packet.counter, parties)
    if advertising and packet.pace != LEAVING:
        overheard = replace(overheard, both_master=_tally(overheard.both_master, source, now_ms, True))
    return replace(overheard, master=packet, known=known), what


def role_seen(overheard: Overheard, now_ms: int, *, advertising: bool) -> CarpRole | None:
    """Return this controller's role in CARP: MASTER, BACKUP of a master that is heard, or None without a master."""
    if advertising:
        return CarpRole.MASTER
    master = overheard.master
    if master is None or now_ms - overheard.good.last_ms >= master_down_ms(*master.pace) or master.pace == LEAVING:
        return None
    return CarpRole.BACKUP


def facts(overheard: Overheard, now_ms: int, fresh_ms: int) -> tuple[tuple[CarpFact, Tally], ...]:
    """Return the faults within the last `fresh_ms`, with the evidence."""
    tallies = tuple((fact, getattr(overheard, fact.value)) for fact in CarpFact)
    return tuple((fact, tally) for fact, tally in tallies if tally.count and now_ms - tally.last_ms < fresh_ms)


def _unsealed(overheard: Overheard, refused: Refused, source: Address, parties: Parties) -> PacketKind:
    if source in parties.own and not source.is_unspecified:
        return PacketKind.REFLECTED
    if refused.why is Refusal.VRRP:
        return PacketKind.STRANGER
    if refused.why is not Refusal.SEAL:
        return PacketKind.FOREIGN
    elsewhere = (
        parties.life is not None and bool(overheard.known) and all(past.source != source for past in overheard.known)
    )
    if not _peers(source, parties) or (parties.peer is None and elsewhere and not source.is_unspecified):
        return PacketKind.STRANGER
    return PacketKind.PASSWORD


def _sealed(overheard: Overheard, advertisement: Advertisement, source: Address, parties: Parties) -> PacketKind:
    if advertisement.counter in parties.sent if source.is_unspecified else source in parties.own:
        return PacketKind.REFLECTED
    other_life = parties.peer is None and parties.life is not None and advertisement.counter not in parties.life
    if other_life or not _peers(source, parties):
        return PacketKind.STRANGER
    past = _of(overheard.known, source)
    old = advertisement.counter <= past.highest if parties.rising else advertisement.counter in past.recent
    return PacketKind.REPLAYED if old else PacketKind.GOOD


def _of(known: tuple[Known, ...], source: Address) -> Known:
    return next((past for past in known if past.source == source), Known(source, -1))


def _remembered(known: tuple[Known, ...], source: Address, counter: int, parties: Parties) -> tuple[Known, ...]:
    past = _of(known, source)
    recent = () if parties.rising else (*past.recent[-(RECENT_MAX - 1) :], counter)
    others = [other for other in known if other is not past]
    return (*others[-(SOURCES_MAX - 1) :], Known(source, max(past.highest, counter), recent))


def _peers(source: Address, parties: Parties) -> bool:
    # Without an address of its own a controller sends from 0.0.0.0, as FreeBSD does. That address identifies no sender.
    return parties.peer is None or source in parties.peer or source.is_unspecified


def _counted(
    overheard: Overheard, what: PacketKind, source: Address, now_ms: int, *, knows_password: bool = False
) -> Overheard:
    changed: dict[str, Any] = {what.value: _tally(getattr(overheard, what.value), source, now_ms, knows_password)}
    return replace(overheard, **changed)


def _tally(tally: Tally, source: Address, now_ms: int, knows_password: bool) -> Tally:
    return Tally(tally.count + 1, now_ms, source, knows_password)
