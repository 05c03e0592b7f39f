"""What the first release wrote, byte for byte, is read, and what is written for it is what it reads.

`first_release.txt` and `first_release_orders.json` were written by that release (revision 2851d64) from BEAT and ORDERS
and are never written again. It knows version 1 of the heartbeat and refuses everything but exactly that.
"""

from pathlib import Path

from reconciler.core.failover.key import Side
from reconciler.core.failover.record import decode_record, encode_record, record_way
from reconciler.core.failover.wire import Decoded, datagram_way, decode_datagram, encode_datagram
from tests.core.failover.beats import BEAT, PAIR, SECRET, of_version

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
