"""Beats and orders for the codecs' tests: whole ones, and strategies that reach every field's limits."""

from dataclasses import replace

from hypothesis import strategies as st

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.orders.orders import (
    Carp,
    Channel,
    ChannelKind,
    Device,
    DeviceKey,
    Group,
    Limits,
    Orders,
    Timers,
    Vdev,
    VirtualAddress,
)
from reconciler.core.failover.reservations.key import EPOCH_MAX, Side

SECRET = bytes(range(32))
OTHER_SECRET = bytes(range(1, 33))
PAIR = "tank-pair"
BEAT = Beat(
    Side.A, incarnation=7, counter=4_711, echo=3, phase=Phase.ACTIVE, epoch=12, groups_down=frozenset({0, 63}),
    out=frozenset({5, 2_047}), sees=True, able=False, handed=False, dying=False, enabled=True, generation=41,
    digest=0xFEED, shelf=0xBEEF, machine=0xACE, txgs=(4_812, 0), armed=False, accepts=0x5EC2E7,
    policy=0xCAFE, lives_ms=7_000,
)  # fmt: skip

words = st.integers(0, 2**64 - 1)
counters = st.integers(0, 2**56 - 1)
beats = st.builds(
    Beat, st.just(Side.A), words, counters, words, st.sampled_from(Phase), st.integers(0, EPOCH_MAX),
    st.frozensets(st.integers(0, 63)), st.frozensets(st.integers(0, 2_047), max_size=40), st.booleans(), st.booleans(),
    st.booleans(), st.booleans(), st.booleans(), words, words, words, words,
    st.lists(words, max_size=8).map(tuple), st.booleans(), st.integers(0, 2**32 - 1), words, st.integers(0, 2**32 - 1),
)  # fmt: skip


def of_version(beat: Beat, version: int) -> Beat:
    """The fields of a beat that this layout version carries."""
    if version > 1:
        return beat
    return replace(beat, machine=0, txgs=(), armed=True, accepts=0, policy=0, lives_ms=0)


ORDERS = Orders(
    pair=PAIR,
    side=Side.A,
    generation=41,
    controllers=("left", "right"),
    disks=tuple(f"wwn-0x5000c500a1b2c3{number:02x}" for number in range(7)),
    vdevs=(Vdev("tank/mirror-0", (0, 1), 1), Vdev("tank/raidz2-1", (2, 3, 4, 5), 2), Vdev("tank/log-2", (6,), 1)),
    arbitration=(0, 2, 6),
    channels=(Channel("interlink"), Channel("eth1", ChannelKind.CARP)),
    groups=(Group(1, ("eth1", "eth2")),),
    addresses=(VirtualAddress("eth1", "192.0.2.10/24", 20),),
    strict=True,
    carp=Carp(1, 100, virtual_mac=True),
    devices=(Device("eth1", DeviceKey.MAC, "02:00:00:00:00:01"), Device("eth2", DeviceKey.NAME, "enp3s0")),
)

texts = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=20)
integers = st.integers(0, 2**63 - 1)
indices = st.lists(integers, max_size=5).map(tuple)
all_orders = st.builds(
    Orders,
    pair=texts,
    side=st.sampled_from(Side),
    generation=integers,
    controllers=st.tuples(texts, texts),
    disks=st.lists(texts, max_size=6, unique=True).map(tuple),
    vdevs=st.lists(st.builds(Vdev, texts, indices, integers), max_size=3).map(tuple),
    arbitration=indices,
    channels=st.lists(st.builds(Channel, texts, st.sampled_from(ChannelKind)), max_size=3).map(tuple),
    groups=st.lists(st.builds(Group, integers, st.lists(texts, max_size=3).map(tuple)), max_size=3).map(tuple),
    addresses=st.lists(st.builds(VirtualAddress, texts, texts, integers), max_size=3).map(tuple),
    default=st.sampled_from(Side),
    enabled=st.booleans(),
    strict=st.booleans(),
    timers=st.builds(Timers, *[integers] * len(Timers.__slots__)),
    limits=st.builds(Limits, *[integers] * len(Limits.__slots__)),
    carp=st.builds(Carp, integers, integers, st.booleans()),
    devices=st.lists(st.builds(Device, texts, st.sampled_from(DeviceKey), texts), max_size=3).map(tuple),
)


def large_orders(disks: int) -> Orders:
    """A shelf of mirrors of two."""
    names = tuple(f"wwn-0x5000c500{number:08x}" for number in range(disks))
    vdevs = tuple(Vdev(f"tank/mirror-{number}", (2 * number, 2 * number + 1), 1) for number in range(disks // 2))
    return replace(ORDERS, disks=names, vdevs=vdevs)


def flipped(data: bytes, bit: int) -> bytes:
    """The same bytes with one bit flipped."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
