"""Layout version: a controller writes the highest that the peer reads, or the first if that is unknown."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.failover.heartbeats.layout_version import PeerReads, learn, version_to_write
from reconciler.core.failover.heartbeats.wire import VERSION, Decoded, datagram_way, decode_datagram, encode_datagram
from reconciler.core.failover.reservations.key import Side
from tests.core.failover.beats import BEAT, PAIR, SECRET

WAY = datagram_way(SECRET, PAIR, "interlink", Side.A)


def said(counter: int, version: int, reads: int, incarnation: int = 7) -> Decoded:
    return Decoded(replace(BEAT, incarnation=incarnation, counter=counter), version, reads)


def test_everybody_is_spoken_to_in_version_1_until_it_says_that_it_reads_more() -> None:
    known = PeerReads()
    assert version_to_write(known) == 1
    known = learn(known, said(1, 1, 0))
    assert version_to_write(known) == 1
    known = learn(known, said(2, 1, 2))
    assert version_to_write(known) == 2


def test_an_older_release_that_takes_the_place_of_a_newer_one_is_spoken_to_in_its_own() -> None:
    known = learn(PeerReads(2), said(1, 1, 0))
    assert version_to_write(known) == 1


def test_what_was_overtaken_says_nothing() -> None:
    known = learn(PeerReads(), said(5, 2, 2))
    for old in (said(5, 1, 0), said(4, 1, 0), said(9, 1, 0, incarnation=6)):
        assert learn(known, old) is known
    assert version_to_write(learn(known, said(1, 1, 0, incarnation=8))) == 1


def test_what_an_earlier_daemon_knew_holds_until_something_is_heard() -> None:
    assert version_to_write(PeerReads(2)) == 2
    assert version_to_write(learn(PeerReads(2), said(0, 1, 0, incarnation=0))) == 1


def test_a_peer_of_a_later_release_gets_what_this_one_writes() -> None:
    known = learn(PeerReads(), said(1, 2, 9))
    assert (known.version, version_to_write(known)) == (9, VERSION)


def test_the_two_releases_find_the_version_both_read_whoever_speaks_first() -> None:
    """Two controllers that hear each other write version 2 from their second beat on; nothing is refused meanwhile."""
    known = {Side.A: PeerReads(), Side.B: PeerReads()}
    ways = {side: datagram_way(SECRET, PAIR, "interlink", side) for side in Side}
    written = []
    for counter in range(1, 4):
        for side in Side:
            version = version_to_write(known[side])
            beat = replace(BEAT, side=side, counter=counter)
            heard = decode_datagram(encode_datagram(beat, ways[side], version), ways[side])
            assert isinstance(heard, Decoded)
            known[side.other] = learn(known[side.other], heard)
            written.append(version)
    assert written == [1, 2, 2, 2, 2, 2]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.sampled_from((1, 2)), st.integers(0, 255))))
def test_what_is_written_is_read_by_the_peer_as_it_spoke_last(heard: list[tuple[int, int, int, int]]) -> None:
    known, newest = PeerReads(), (-1, -1, 1)
    for incarnation, counter, version, reads in heard:
        known = learn(known, said(counter, version, reads, incarnation))
        if (incarnation, counter) > newest[:2]:
            newest = (incarnation, counter, max(version, reads))
        assert version_to_write(known) == min(newest[2], VERSION)
