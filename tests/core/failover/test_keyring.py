"""Keyring: one secret seals, others are accepted, and fingerprints identify them."""

from dataclasses import replace

import pytest

from reconciler.core.failover.heartbeats.disk_record import decode_record, encode_record, record_way
from reconciler.core.failover.heartbeats.keyring import Keyring, decode_any, fingerprint, fingerprint_text
from reconciler.core.failover.heartbeats.wire import Decoded, datagram_way, decode_datagram, encode_datagram
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.reservations.key import Side
from tests.core.failover.beats import BEAT, OTHER_SECRET, PAIR, SECRET

THIRD = bytes(range(2, 34))
CODECS = pytest.mark.parametrize(
    ("make", "encode", "decode"),
    [(datagram_way, encode_datagram, decode_datagram), (record_way, encode_record, decode_record)],
)


def test_each_secret_counts_once_and_the_current_one_comes_first() -> None:
    ring = Keyring(SECRET, (OTHER_SECRET, SECRET, THIRD))
    assert ring.accepted == (SECRET, OTHER_SECRET, THIRD)
    assert ring.prints == tuple(map(fingerprint, ring.accepted))
    assert ring.announced == fingerprint(OTHER_SECRET)
    assert Keyring(SECRET).announced == 0


def test_rings_that_share_a_secret_understand_something() -> None:
    assert Keyring(SECRET, (THIRD,)).shares(Keyring(THIRD))
    assert not Keyring(SECRET, (THIRD,)).shares(Keyring(OTHER_SECRET))


def test_nothing_that_is_shown_has_a_secret_in_it() -> None:
    ring = Keyring(SECRET, (OTHER_SECRET,))
    for secret in ring.accepted:
        assert repr(secret)[2:-1] not in repr(ring)
        assert len(fingerprint_text(fingerprint(secret))) == 8
    assert fingerprint_text(0) == ""


@CODECS
def test_whatever_an_accepted_secret_seals_is_taken_and_nothing_else(make, encode, decode) -> None:
    def ways(*secrets: bytes):
        return [make(secret, PAIR, "one", Side.A) for secret in secrets]

    data = encode(BEAT, make(OTHER_SECRET, PAIR, "one", Side.A))
    assert decode_any(data, ways(SECRET, OTHER_SECRET), decode) == (Decoded(BEAT), 1)
    assert decode_any(data, ways(OTHER_SECRET, SECRET), decode) == (Decoded(BEAT), 0)
    assert decode_any(data, ways(SECRET, THIRD), decode) == (Refused(Refusal.SEAL), -1)
    other = encode(replace(BEAT), make(OTHER_SECRET, PAIR, "another", Side.A))
    refused, at = decode_any(other, ways(SECRET, OTHER_SECRET), decode)
    assert isinstance(refused, Refused) and refused.why is Refusal.WAY and at == -1
