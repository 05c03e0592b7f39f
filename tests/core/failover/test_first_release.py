"""What the first release wrote, byte for byte, is read, and what is written for it is what it reads.

`first_release.txt` and `first_release_orders.json` were written by that release (revision 2851d64) from BEAT and ORDERS
and are never written again. It knows version 1 of the heartbeat and refuses everything but exactly that.
"""

from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from hypothesis import given

from reconciler.core.failover.heartbeats.disk_record import decode_record, encode_record, record_way
from reconciler.core.failover.heartbeats.wire import Decoded, datagram_way, decode_datagram, encode_datagram
from reconciler.core.failover.orders.document import decode_orders, orders_document, orders_key
from reconciler.core.failover.orders.first_release import FIRST_RELEASE, plain_of, text_of
from reconciler.core.failover.orders.orders import Orders, Timers, digest, first_digest, policy_digest, shelf_digest
from reconciler.core.failover.reservations.key import Side
from tests.core.failover.beats import BEAT, ORDERS, PAIR, SECRET, all_orders, of_version

HERE = Path(__file__).parent
WRITTEN = dict(line.split() for line in (HERE / "first_release.txt").read_text().splitlines())
SAID = of_version(BEAT, 1)


def test_its_datagrams_are_read_and_written() -> None:
    data = bytes.fromhex(WRITTEN["datagram"])
    way = datagram_way(SECRET, PAIR, "interlink", Side.A)
    assert decode_datagram(data, way) == Decoded(SAID, version=1, reads=0)
    assert encode_datagram(BEAT, way, 1, reads=0) == data


def test_its_records_are_read_and_written() -> None:
    data = bytes.fromhex(WRITTEN["record"])
    way = record_way(SECRET, PAIR, "wwn-1", Side.A)
    assert decode_record(data, way) == Decoded(SAID, version=1, reads=0)
    assert encode_record(BEAT, way, 1, reads=0) == data


def test_to_it_what_we_read_is_a_part_of_a_counter_that_rises() -> None:
    way = datagram_way(SECRET, PAIR, "interlink", Side.A)
    data = bytes.fromhex(WRITTEN["datagram"])
    ours = encode_datagram(BEAT, way, 1)
    assert len(ours) == len(data)
    differing = [at for at, (mine, its) in enumerate(zip(ours[:-32], data[:-32], strict=True)) if mine != its]
    assert differing == [32]
    assert int.from_bytes(ours[32:40]) > int.from_bytes(data[32:40])


def test_its_orders_are_read_and_written() -> None:
    data, key = (HERE / "first_release_orders.json").read_bytes(), orders_key(SECRET)
    assert decode_orders(data, key) == ORDERS
    assert orders_document(ORDERS, key) == data


def test_it_is_told_the_digest_that_it_has_of_the_same_configuration() -> None:
    """It derives 2 s without proof, or two looks and a pause; every other release tells only such a peer so."""
    for look_ms, derived_ms in ((250, 2_000), (1_500, 3_400)):
        its = replace(ORDERS, timers=replace(ORDERS.timers, look_ms=look_ms, pause_ms=400, proof_ms=derived_ms))
        ours = replace(its, timers=replace(its.timers, proof_ms=4_000))
        assert first_digest(ours) == first_digest(its) == digest(its) != digest(ours)
        assert first_digest(replace(ours, strict=not ours.strict)) != digest(its)
    beat = replace(BEAT, first_digest=7)
    way = datagram_way(SECRET, PAIR, "interlink", Side.A)
    for version, said in ((1, 7), (2, BEAT.digest)):
        read = decode_datagram(encode_datagram(beat, way, version), way)
        assert isinstance(read, Decoded) and read.beat.digest == said


def test_its_digests_are_ours() -> None:
    assert f"{digest(ORDERS):016x}" == WRITTEN["digest"]
    assert f"{shelf_digest(ORDERS):016x}" == WRITTEN["shelf"]


@given(all_orders)
def test_a_digest_of_any_orders_is_that_of_its_fields_as_python_shows_them(orders: Orders) -> None:
    """The text of the first release, as long as the orders use no later field."""
    same = [getattr(orders, name) for name in FIRST_RELEASE["Orders"] if name not in ("side", "devices")]
    assert digest(orders) == int.from_bytes(sha256(repr(same).encode()).digest()[:8])


@dataclass(frozen=True)
class Limits:
    """The same value in a later release."""

    moves: int = 3
    moves_window_ms: int = 1
    resets: int = 2
    resets_window_ms: int = 5
    names: tuple[str, ...] = field(default=())


def test_a_field_that_came_later_is_said_when_it_is_not_at_its_default() -> None:
    text = "Limits(moves=3, moves_window_ms=1, resets=2, resets_window_ms=5"
    assert text_of(Limits()) == f"{text})"
    assert text_of(Limits(names=("x",))) == f"{text}, names=('x',))"
    assert text_of(Limits(names=("x",)), first_only=True) == f"{text})"
    assert "names" not in plain_of(Limits())
    assert plain_of((Limits(names=("x", "y")),))[0]["names"] == ["x", "y"]


def test_what_a_release_derives_is_no_policy() -> None:
    assert policy_digest(ORDERS) > 0
    for name in Timers.__slots__:
        value = getattr(ORDERS.timers, name) + 1
        changed = replace(ORDERS, timers=replace(ORDERS.timers, **{name: value}))
        assert digest(changed) != digest(ORDERS)
        written = name in {
            "beat_ms", "silence_ms", "record_ms", "stale_ms", "look_ms", "pause_ms", "deadman_ms", "network_ms",
            "maintenance_ms",
        }  # fmt: skip
        assert (policy_digest(changed) != policy_digest(ORDERS)) is written, name
    for other in (replace(ORDERS, enabled=False), replace(ORDERS, disks=("x",)), replace(ORDERS, generation=1)):
        assert policy_digest(other) != policy_digest(ORDERS)
