"""Monitor of CARP: the kind of each packet, the counts, and senders that restart."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from reconciler.core.failover.carp.advertisement import Advertisement
from reconciler.core.failover.carp.election import CarpRole
from reconciler.core.failover.carp.monitor import (
    RECENT_MAX,
    SOURCES_MAX,
    CarpFact,
    Overheard,
    PacketKind,
    Parties,
    counters_of,
    facts,
    first_counter,
    overhear,
    role_seen,
)
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.reservations.key import Side

US, PEER, STRANGER, NO_ADDRESS = (ip_address(text) for text in ("10.0.0.1", "10.0.0.2", "10.0.0.66", "0.0.0.0"))
PARTIES = Parties(own=frozenset({US}), peer=frozenset({PEER}))
UNKNOWN_PEER = Parties(own=frozenset({US}))
FORGED = Refused(Refusal.SEAL)


def new(counter: int) -> Advertisement:
    return Advertisement(7, 1, 0, counter)


@pytest.mark.parametrize(
    ("packet", "source", "parties", "what"),
    [
        (new(5), PEER, PARTIES, PacketKind.GOOD),
        (new(5), STRANGER, PARTIES, PacketKind.STRANGER),
        (new(5), STRANGER, UNKNOWN_PEER, PacketKind.GOOD),
        (new(5), US, PARTIES, PacketKind.REFLECTED),
        (new(5), PEER, replace(PARTIES, sent=range(4, 6)), PacketKind.GOOD),
        (new(5), NO_ADDRESS, PARTIES, PacketKind.GOOD),
        (new(5), NO_ADDRESS, replace(PARTIES, own=frozenset({NO_ADDRESS})), PacketKind.GOOD),
        (new(5), NO_ADDRESS, replace(PARTIES, sent=range(4, 6)), PacketKind.REFLECTED),
        (FORGED, PEER, PARTIES, PacketKind.PASSWORD),
        (FORGED, STRANGER, PARTIES, PacketKind.STRANGER),
        (FORGED, STRANGER, UNKNOWN_PEER, PacketKind.PASSWORD),
        (FORGED, US, PARTIES, PacketKind.REFLECTED),
        (Refused(Refusal.WAY), PEER, PARTIES, PacketKind.FOREIGN),
        (Refused(Refusal.LENGTH), STRANGER, PARTIES, PacketKind.FOREIGN),
        (Refused(Refusal.CHECKSUM), PEER, PARTIES, PacketKind.FOREIGN),
    ],
)
def test_what_a_packet_is(packet: Advertisement | Refused, source, parties: Parties, what: PacketKind) -> None:
    overheard, found = overhear(Overheard(), packet, source, parties, 77)
    assert found is what
    tally = getattr(overheard, what.value)
    assert (tally.count, tally.last_ms, tally.source) == (1, 77, source)
    assert tally.knows_password == isinstance(packet, Advertisement)
    others = [getattr(overheard, other.value).count for other in PacketKind if other is not what]
    assert not any(others)


def sequence(counters: list[int], source=PEER) -> list[PacketKind]:
    overheard, found = Overheard(), []
    for counter in counters:
        overheard, what = overhear(overheard, new(counter), source, UNKNOWN_PEER, 0)
        found.append(what)
    return found


def test_the_counter_of_one_source_must_rise() -> None:
    good, old = PacketKind.GOOD, PacketKind.REPLAYED
    assert sequence([0, 1, 1, 5, 4, 6, 2**64 - 1, 0]) == [good, good, old, good, old, good, good, old]


def test_a_peer_that_is_not_hagit_repeats_itself_only_in_replays() -> None:
    """Like ucarp and FreeBSD before they have heard another member."""
    parties, overheard = replace(UNKNOWN_PEER, rising=False), Overheard()
    drawn = [7 * number % 2_003 + 1 for number in range(2_000)]
    for counter in drawn:
        overheard, what = overhear(overheard, new(counter), PEER, parties, 0)
        assert what is PacketKind.GOOD
    assert len(overheard.known[0].recent) == RECENT_MAX
    for counter in drawn[-RECENT_MAX:]:
        assert overhear(overheard, new(counter), PEER, parties, 0)[1] is PacketKind.REPLAYED


def test_a_peer_whose_addresses_are_not_known_is_known_by_its_life() -> None:
    life = counters_of(3, Side.B)
    parties = replace(UNKNOWN_PEER, life=life)
    overheard, what = overhear(Overheard(), FORGED, STRANGER, parties, 1)
    assert what is PacketKind.PASSWORD  # No sender was heard yet, so this may be the peer.
    overheard, what = overhear(overheard, new(life[7]), PEER, parties, 2)
    assert what is PacketKind.GOOD
    for packet in (FORGED, new(life[0] - 1), new(life[-1] + 1), new(counters_of(3, Side.A)[7]), new(2**64 - 1)):
        assert overhear(overheard, packet, STRANGER, parties, 3)[1] is PacketKind.STRANGER
    assert overhear(overheard, FORGED, PEER, parties, 3)[1] is PacketKind.PASSWORD
    assert overhear(overheard, FORGED, NO_ADDRESS, parties, 3)[1] is PacketKind.PASSWORD
    # It starts again, perhaps with another address.
    parties = replace(parties, life=counters_of(4, Side.B))
    assert overhear(overheard, new(counters_of(4, Side.B)[0]), STRANGER, parties, 4)[1] is PacketKind.GOOD
    assert overhear(overheard, new(life[8]), PEER, parties, 4)[1] is PacketKind.STRANGER


def test_sources_count_apart_and_are_bounded() -> None:
    overheard = Overheard()
    for number in range(SOURCES_MAX + 1):
        overheard, what = overhear(overheard, new(100 - number), ip_address(number + 1), UNKNOWN_PEER, number)
        assert what is PacketKind.GOOD
    assert len(overheard.known) == SOURCES_MAX
    assert overhear(overheard, new(1), ip_address(SOURCES_MAX + 1), UNKNOWN_PEER, 99)[1] is PacketKind.REPLAYED
    assert overhear(overheard, new(1), ip_address(1), UNKNOWN_PEER, 99)[1] is PacketKind.GOOD


def test_a_restarted_hagit_is_always_new_and_never_counts_as_the_other_side() -> None:
    lives = [first_counter(incarnation, Side.A) for incarnation in (1, 2, 3, 1_800_000_000, 2**32 - 1)]
    assert lives == sorted(set(lives)) and lives[-1] < 2**64
    assert sequence([lives[0] + 4_711, lives[1], lives[2], lives[3], lives[4]]) == [PacketKind.GOOD] * 5
    others = {first_counter(incarnation, Side.B) for incarnation in range(1, 100)}
    assert not others & {first_counter(incarnation, Side.A) for incarnation in range(1, 100)}


def test_a_life_has_room_for_a_century_and_the_next_one_is_above_it() -> None:
    century_s = 100 * 366 * 86_400
    assert len(counters_of(1_800_000_000, Side.B)) > 256 * century_s
    for lived_s in (1, 3_600, century_s):
        assert first_counter(1_000 + lived_s, Side.A) > first_counter(1_000, Side.A) + 256 * lived_s


def test_a_replay_does_not_renew_a_master() -> None:
    overheard, _ = overhear(Overheard(), new(5), PEER, PARTIES, 1_000)
    overheard, what = overhear(overheard, new(5), PEER, PARTIES, 3_500)
    assert what is PacketKind.REPLAYED
    assert role_seen(overheard, 3_999, advertising=False) is CarpRole.BACKUP
    assert role_seen(overheard, 4_000, advertising=False) is None


def test_the_role_that_carp_shows() -> None:
    nothing = Overheard()
    assert role_seen(nothing, 0, advertising=True) is CarpRole.MASTER
    assert role_seen(nothing, 0, advertising=False) is None
    left, _ = overhear(nothing, Advertisement(7, 255, 255, 9), PEER, PARTIES, 10)
    assert role_seen(left, 11, advertising=False) is None


def test_both_sides_master_is_counted() -> None:
    overheard, what = overhear(Overheard(), new(5), PEER, PARTIES, 10, advertising=True)
    assert what is PacketKind.GOOD
    assert (overheard.both_master.count, overheard.both_master.source) == (1, PEER)
    overheard, _ = overhear(overheard, new(6), STRANGER, PARTIES, 10, advertising=True)
    overheard, _ = overhear(overheard, Advertisement(7, 255, 255, 7), PEER, PARTIES, 10, advertising=True)
    assert overheard.both_master.count == 1 and overheard.good.count == 2


def test_facts_are_what_was_wrong_lately() -> None:
    overheard = Overheard()
    for packet, source, at_ms in (
        (FORGED, PEER, 100),
        (new(5), STRANGER, 200),
        (new(6), PEER, 300),
        (new(6), PEER, 400),
    ):
        overheard, _ = overhear(overheard, packet, source, PARTIES, at_ms)
    assert [fact for fact, _ in facts(overheard, 450, 1_000)] == [
        CarpFact.PASSWORD,
        CarpFact.STRANGER,
        CarpFact.REPLAYED,
    ]
    assert [fact for fact, _ in facts(overheard, 1_150, 1_000)] == [CarpFact.STRANGER, CarpFact.REPLAYED]
    ((fact, tally),) = facts(overheard, 1_250, 1_000)
    assert (fact, tally.count, tally.source, tally.knows_password) == (CarpFact.REPLAYED, 1, PEER, True)
