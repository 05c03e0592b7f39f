"""Beats as datagrams and as disk records: every beat round-trips, and every other content is refused."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.failover.heartbeats.authentication import seal
from reconciler.core.failover.heartbeats.disk_record import (
    RECORD_BYTES,
    SEAL_AT,
    TAIL_AT,
    decode_record,
    encode_record,
    record_way,
)
from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.heartbeats.wire import (
    CONTENT_BYTES,
    LAYOUT,
    PHASES,
    VERSION,
    Decoded,
    Direction,
    datagram_way,
    decode_datagram,
    encode_datagram,
)
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.reservations.key import EPOCH_MAX, Side
from tests.core.failover.beats import BEAT, OTHER_SECRET, PAIR, SECRET, beats, flipped, of_version

MakeWay = Callable[[bytes, str, str, Side], Direction]
CODECS = {
    "datagram": (datagram_way, encode_datagram, decode_datagram),
    "record": (record_way, encode_record, decode_record),
}
VERSIONS = (1, 2)
#: The bytes from the beginning of a datagram to its seal.
CONTENT = CONTENT_BYTES[VERSION]
DATAGRAM_BYTES = CONTENT + 32
codecs = pytest.mark.parametrize(("make", "encode", "decode"), CODECS.values(), ids=CODECS.keys())


def sealed_datagram(content: bytes, way: Direction) -> bytes:
    return content + seal(way.key, content)


def sealed_record(content: bytes, way: Direction) -> bytes:
    content = content.ljust(SEAL_AT, b"\0")
    tail = content[32:40]
    return content + seal(way.key, content + tail) + tail


def refusal(decoded: Decoded | Refused) -> Refusal:
    assert isinstance(decoded, Refused), decoded
    assert len(decoded.detail) <= 200
    return decoded.why


@pytest.mark.parametrize("version", VERSIONS)
@codecs
def test_beats_come_back_as_they_went(make, encode, decode, version: int) -> None:
    way = make(SECRET, PAIR, "interlink", Side.A)

    @given(beats, st.integers(0, 255))
    def round_trip(beat: Beat, reads: int) -> None:
        assert decode(encode(beat, way, version, reads), way) == Decoded(of_version(beat, version), version, reads)

    round_trip()


def test_every_phase_has_a_code_and_every_field_travels() -> None:
    assert set(PHASES[1:]) == set(Phase)
    way = datagram_way(SECRET, PAIR, "interlink", Side.A)
    plain = Beat(Side.A, 0, 0, 0, Phase.BOOTING)
    for name in Beat.__slots__:
        # The last one travels in the place of another, and only to the first release.
        if name in ("side", "first_digest"):
            continue
        value = getattr(plain, name)
        kinds = {bool: not value, int: 1, frozenset: frozenset({3}), tuple: (0, 7), Phase: Phase.HALTED}
        other = kinds[type(value)]
        changed = replace(plain, **{name: other})
        assert decode_datagram(encode_datagram(changed, way), way) == Decoded(changed), name


def test_sizes_and_layout_are_fixed() -> None:
    assert (RECORD_BYTES, CONTENT_BYTES) == (512, (0, 344, 436))
    way = datagram_way(SECRET, PAIR, "interlink", Side.A)
    old, data = (encode_datagram(BEAT, way, version) for version in VERSIONS)
    assert (len(old), len(data)) == (376, 468)
    assert old[:24].hex() == "6867484201010105dcde5e56bc379ed736bcee4f00000011"
    assert data[:24].hex() == "6867484202010105dcde5e56bc379ed736bcee4f00000031"
    assert old[24:344] == data[24:344]
    assert int.from_bytes(data[24:32]) == BEAT.incarnation
    assert (data[32], int.from_bytes(data[33:40])) == (2, BEAT.counter)
    assert int.from_bytes(data[344:352]) == BEAT.machine
    assert (data[352], int.from_bytes(data[353:357]), data[357:360]) == (2, BEAT.accepts, bytes(3))
    assert data[360:376].hex() == "00000000000012cc0000000000000000"
    assert (int.from_bytes(data[424:432]), int.from_bytes(data[432:436])) == (BEAT.policy, BEAT.lives_ms)


@codecs
def test_every_single_flipped_bit_is_refused(make, encode, decode) -> None:
    way = make(SECRET, PAIR, "interlink", Side.A)
    data = encode(BEAT, way)
    for bit in range(len(data) * 8):
        refusal(decode(flipped(data, bit), way))


@codecs
def test_flipped_bits_of_any_beat_are_refused(make, encode, decode) -> None:
    way = make(SECRET, PAIR, "interlink", Side.A)

    @given(beats, st.sets(st.integers(0, DATAGRAM_BYTES * 8 - 1), min_size=1, max_size=8))
    def flip(beat: Beat, bits: set[int]) -> None:
        data = encode(beat, way)
        for bit in bits:
            data = flipped(data, bit)
        refusal(decode(data, way))

    flip()


@pytest.mark.parametrize("version", VERSIONS)
@codecs
def test_every_truncation_and_extension_is_refused(make, encode, decode, version: int) -> None:
    way = make(SECRET, PAIR, "interlink", Side.A)
    data = encode(BEAT, way, version)
    unsealed = {Refusal.LENGTH, Refusal.SEAL, Refusal.FOREIGN}
    for length in range(len(data)):
        assert refusal(decode(data[:length], way)) is Refusal.LENGTH
        assert refusal(decode(data[length + 1 :], way)) in unsealed
    for more in (b"\0", b"\xff", b"\0" * 65_536, data):
        assert refusal(decode(data + more, way)) in unsealed


@codecs
def test_any_bytes_are_refused(make, encode, decode) -> None:
    way = make(SECRET, PAIR, "interlink", Side.A)
    head = encode(BEAT, way)[:24]

    @given(st.one_of(st.binary(max_size=600), *(st.binary(min_size=size, max_size=size) for size in (376, 468, 512))))
    def anything(data: bytes) -> None:
        refusal(decode(data, way))
        refusal(decode((head + data)[: len(encode(BEAT, way))], way))

    anything()


@codecs
def test_what_was_written_for_another_way_is_refused(make, encode, decode) -> None:
    mine = make(SECRET, PAIR, "interlink", Side.A)
    reasons = {
        Refusal.PAIR: make(SECRET, "other-pair", "interlink", Side.A),
        Refusal.WAY: make(SECRET, PAIR, "eth1", Side.A),
        Refusal.SEAL: make(OTHER_SECRET, PAIR, "interlink", Side.A),
    }
    for reason, way in reasons.items():
        assert refusal(decode(encode(BEAT, way), mine)) is reason
    own = make(SECRET, PAIR, "interlink", Side.B)
    assert refusal(decode(encode(replace(BEAT, side=Side.B), own), mine)) is Refusal.REFLECTED


@codecs
def test_the_hints_in_the_clear_are_not_what_protects(make, encode, decode) -> None:
    """The seal refuses bytes under the key of another pair, channel, direction or purpose."""
    mine = make(SECRET, PAIR, "interlink", Side.A)
    parts = product((SECRET, OTHER_SECRET), (PAIR, "other"), ("interlink", "eth1"), Side)
    ways = [other(*part) for part in parts for other in (datagram_way, record_way)]
    assert len({way.key.material for way in ways}) == len(ways) == 32
    for way in ways:
        decoded = decode(encode(BEAT, replace(mine, key=way.key)), mine)
        assert decoded == (Decoded(BEAT) if way == mine else Refused(Refusal.SEAL))


def test_datagrams_and_records_are_not_one_another() -> None:
    datagram, record = (make(SECRET, PAIR, "interlink", Side.A) for make in (datagram_way, record_way))
    assert datagram.key.material != record.key.material
    content = encode_datagram(BEAT, datagram)[:CONTENT]
    assert refusal(decode_record(sealed_record(content, record), record)) is Refusal.KIND


DEFECTS = {
    "phase 0": (7, b"\0"),
    "phase 8": (7, b"\x08"),
    "phase 255": (7, b"\xff"),
    f"epoch {EPOCH_MAX + 1}": (48, (EPOCH_MAX + 1).to_bytes(8)),
}


#: What only version 2 leaves room for.
NEWER = {"flags 0x31": (20, b"\0\0\0\x31"), "flags 0x80000011": (20, b"\x80\0\0\x11")}


def patched(kind: str, version: int, patch: tuple[int, bytes]) -> tuple[Decoded | Refused, Direction]:
    """A beat with some bytes replaced before it was sealed, as it is read; and its way."""
    make, encode, decode = CODECS[kind]
    way = make(SECRET, PAIR, "interlink", Side.A)
    at, piece = patch
    content = encode(BEAT, way, version)[: CONTENT_BYTES[version]].ljust(at, b"\0")
    content = content[:at] + piece + content[at + len(piece) :]
    return decode((sealed_datagram if kind == "datagram" else sealed_record)(content, way), way), way


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("detail", "patch"), DEFECTS.items())
@pytest.mark.parametrize("kind", CODECS)
def test_a_peer_with_a_bug_is_refused_though_its_seal_is_right(
    detail: str, patch: tuple[int, bytes], kind: str, version: int
) -> None:
    assert patched(kind, version, patch)[0] == Refused(Refusal.AUTHENTIC_DEFECT, detail)


@pytest.mark.parametrize(("detail", "patch"), NEWER.items())
@pytest.mark.parametrize("kind", CODECS)
def test_version_1_has_no_other_flags(detail: str, patch: tuple[int, bytes], kind: str) -> None:
    assert patched(kind, 1, patch)[0] == Refused(Refusal.AUTHENTIC_DEFECT, detail)


@pytest.mark.parametrize(
    "patch",
    [
        (20, b"\0\0\0\x71"),  # a flag
        (20, b"\x80\0\0\x31"),
        (357, b"\x01"),  # between what is listed
        (359, b"\xff"),
        (376, b"\1" * 8),  # a third transaction group, of which the number says nothing
        (436, b"\1"),  # behind it
        (471, b"\1"),
    ],
)
@pytest.mark.parametrize("kind", CODECS)
def test_what_a_later_release_adds_to_version_2_is_kept_apart(kind: str, patch: tuple[int, bytes]) -> None:
    assert patched(kind, 2, patch)[0] == Decoded(BEAT, newer=True)


@pytest.mark.parametrize("kind", CODECS)
def test_more_pools_than_are_known_say_nothing_of_any(kind: str) -> None:
    assert patched(kind, 2, (352, b"\x09"))[0] == Decoded(replace(BEAT, txgs=()), newer=True)


def test_version_2_may_be_longer_up_to_what_a_frame_carries() -> None:
    way = datagram_way(SECRET, PAIR, "interlink", Side.A)
    content = encode_datagram(BEAT, way)[:CONTENT]
    for more in (0, 1, 100, 1_400 - DATAGRAM_BYTES):
        assert decode_datagram(sealed_datagram(content + bytes(more), way), way) == Decoded(BEAT)
    longest = sealed_datagram(content + bytes(1_401 - DATAGRAM_BYTES), way)
    assert refusal(decode_datagram(longest, way)) is Refusal.LENGTH
    assert refusal(decode_datagram(sealed_datagram(content[:-1], way), way)) is Refusal.LENGTH
    first = encode_datagram(BEAT, way, 1)[: CONTENT_BYTES[1]]
    assert refusal(decode_datagram(sealed_datagram(first + b"\0", way), way)) is Refusal.LENGTH


@pytest.mark.parametrize(
    ("at", "piece", "why"),
    [
        (0, b"hgHC", Refusal.FOREIGN),
        (4, b"\x00", Refusal.VERSION),
        (4, b"\x03", Refusal.VERSION),
        (4, b"\xff", Refusal.VERSION),
        (5, b"\x03", Refusal.KIND),
        (6, b"\x03", Refusal.SENDER),
        (6, b"\x00", Refusal.SENDER),
        (8, b"\xff", Refusal.PAIR),
        (16, b"\xff", Refusal.WAY),
    ],
)
@pytest.mark.parametrize("kind", CODECS)
def test_each_word_of_the_header_has_its_refusal(at: int, piece: bytes, why: Refusal, kind: str) -> None:
    make, encode, decode = CODECS[kind]
    way = make(SECRET, PAIR, "interlink", Side.A)
    data = encode(BEAT, way)
    assert refusal(decode(data[:at] + piece + data[at + len(piece) :], way)) is why


def test_what_does_not_fit_the_layout_is_never_written() -> None:
    way = datagram_way(SECRET, PAIR, "interlink", Side.A)
    for beat in (
        replace(BEAT, side=Side.B),
        replace(BEAT, epoch=EPOCH_MAX + 1),
        replace(BEAT, out=frozenset({2_048})),
        replace(BEAT, groups_down=frozenset({64})),
        replace(BEAT, counter=1 << 56),
        replace(BEAT, txgs=(1,) * 9),
    ):
        with pytest.raises(AssertionError):
            encode_datagram(beat, way)


def test_a_sector_that_was_never_written_is_blank() -> None:
    way = record_way(SECRET, PAIR, "wwn-1", Side.A)
    assert decode_record(bytes(512), way) == Refused(Refusal.BLANK)
    assert refusal(decode_record(b"\xff" * 512, way)) is Refusal.FOREIGN


def test_a_torn_record_is_refused_wherever_it_is_torn() -> None:
    """Any prefix of the new sector over the old one, and the other way round."""
    way = record_way(SECRET, PAIR, "wwn-1", Side.A)
    old, new = (encode_record(replace(BEAT, counter=counter), way) for counter in (255, 256))
    for first, second in ((old, new), (new, old), (bytes(512), new), (old, bytes(512))):
        for cut in range(1, 512):
            mixed = first[:cut] + second[cut:]
            if mixed in (first, second):
                continue
            why = refusal(decode_record(mixed, way))
            assert why in (Refusal.TORN, Refusal.SEAL, Refusal.FOREIGN, Refusal.SENDER, Refusal.VERSION) or cut < 24
            if {first, second} == {old, new} and 40 <= cut <= TAIL_AT:
                assert why is Refusal.TORN


def test_what_stands_where_version_1_has_zeros_is_refused_though_sealed() -> None:
    way = record_way(SECRET, PAIR, "wwn-1", Side.A)
    content = encode_record(BEAT, way, 1)[:SEAL_AT]
    assert isinstance(decode_record(sealed_record(content, way), way), Decoded)
    for at in (LAYOUT.size, SEAL_AT - 1):
        defect = content[:at] + b"\x01" + content[at + 1 :]
        assert refusal(decode_record(sealed_record(defect, way), way)) is Refusal.AUTHENTIC_DEFECT
