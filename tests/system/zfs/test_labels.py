"""Labels: what a device says of itself, and that nothing which stands where a label should be does any harm."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.failover.orders.orders import Orders, Vdev
from reconciler.core.failover.reservations.key import Side
from reconciler.core.failover.reservations.transaction_groups import mark
from reconciler.system.zfs.import_devices import find_import_devices, incomplete, is_unmade
from reconciler.system.zfs.label_reader import read_devices, read_labels, unanswered
from reconciler.system.zfs.labels import LIST_OFFSETS, Label, parse_label
from tests.system.zfs.xdr import label, packed

#: Nobody waits so long unless something is broken.
LONG_S = 30.0


def test_a_label_says_which_device_of_which_pool() -> None:
    found = parse_label(label())
    assert found == Label(
        state=0,
        guid=12,
        pool="tank",
        pool_guid=(1 << 64) - 7,
        txg=4,
        top=1,
        tops=2,
        leaves=(11, 12),
        hostid=0xDEADBEEF,
        hostname="alpha",
        places=((11,), (12,)),
    )
    assert found.in_pool


def test_spares_caches_and_destroyed_pools_cannot_be_imported() -> None:
    for state in (2, 3, 4):
        found = parse_label(label(state=state))
        assert found is not None and not found.in_pool
    spare = parse_label(packed({"version": 5000, "state": 3, "guid": 9}))
    assert spare == Label(state=3, guid=9)


def test_places_without_a_vdev_are_known() -> None:
    found = parse_label(label(hole_array=[0, 2]))
    assert found is not None and found.holes == (0, 2)


@pytest.mark.parametrize("data", [b"", bytes(112 << 10), b"\x01" * 4096, label()[:200], packed({"state": 0})])
def test_what_is_no_label_is_none(data: bytes) -> None:
    assert parse_label(data) is None


def test_damaged_labels_raise_nothing() -> None:
    generator = random.Random(5)
    whole = label()[:1200]
    survived = 0
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(generator.randrange(1, 6)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        survived += parse_label(bytes(data)) is not None
    assert 0 < survived < 3000


def test_labels_are_read_from_many_devices_at_once(tmp_path: Path) -> None:
    paths = {}
    for at in range(20):
        paths[at] = tmp_path / f"disk{at}"
        paths[at].write_bytes(bytes(LIST_OFFSETS[0]) + label(guid=1000 + at))
    paths[20] = tmp_path / "blank"
    paths[20].write_bytes(bytes(1 << 18))
    paths[21] = tmp_path / "missing"
    found = read_labels(paths, LONG_S)
    assert [one.guid for at in range(20) if (one := found[at]) is not None] == list(range(1000, 1020))
    assert found[20] is None and found[21] is None


def test_of_two_labels_the_newest_whole_one_counts(tmp_path: Path) -> None:
    path, gap = tmp_path / "disk", bytes(LIST_OFFSETS[1] - LIST_OFFSETS[0] - (112 << 10))
    for first, second, txg in (
        (label(txg=9), label(txg=4), 9),
        (label(txg=4), label(txg=9), 9),
        (label(txg=9)[:300] + bytes((112 << 10) - 300), label(txg=4), 4),
    ):
        path.write_bytes(bytes(LIST_OFFSETS[0]) + first + gap + second)
        found = read_labels({0: path}, LONG_S)[0]
        assert found is not None and found.txg == txg


def test_a_device_that_does_not_answer_takes_nothing_from_the_others(tmp_path: Path) -> None:
    import os

    # A pipe that nobody writes to: whoever opens it to read waits.
    os.mkfifo(tmp_path / "hangs")
    (tmp_path / "good").write_bytes(bytes(LIST_OFFSETS[0]) + label())
    # The whole deadline would be longer than any test may take.
    found = read_labels({0: tmp_path / "hangs", 1: tmp_path / "good"}, 10_000.0, 0.5)
    assert set(found) == {1} and found[1] is not None
    read_labels({}, 0.0)
    assert unanswered() <= 2, "what was killed ends"


# Which devices belong to a pool ---------------------------------------------------------------------------------------


def orders_of(*vdevs: tuple[str, int], loose: int = 0) -> Orders:
    """Orders with vdevs of so many disks each, and disks that are in none."""
    count, found = 0, []
    for name, size in vdevs:
        found.append(Vdev(name, tuple(range(count, count + size)), 1))
        count += size
    names = tuple(f"d{at}" for at in range(count + loose))
    return Orders("pair", Side.A, 1, ("one", "two"), names, tuple(found), (0,), channels=())


def single(disks: int, loose: int = 0) -> Orders:
    return orders_of(("tank/mirror-0", disks), loose=loose)


def device(guid: int, *, top: int = 0, leaves: tuple[int, ...] = (), tops: int = 1, **more: object) -> Label:
    return Label(0, guid, "tank", 77, 4, top, tops, (), leaves or (guid,), **more)  # type: ignore[arg-type]


def test_a_pool_is_found_on_the_disks_that_carry_it() -> None:
    labels = {0: device(1, leaves=(1, 2)), 1: device(2, leaves=(1, 2)), 2: None, 4: Label(0, 9, "zoo", 5, leaves=(9,))}
    found = find_import_devices("tank", single(4, 1), labels)
    assert (found.guid, found.disks, found.refusal) == (77, (0, 1), "")


def test_a_pool_on_no_disk_is_refused() -> None:
    assert "none of the 2 disks" in find_import_devices("tank", single(4), {0: None, 3: Label(3, 8)}).refusal


def test_of_two_pools_with_one_name_the_one_written_last_is_meant() -> None:
    old, new = Label(0, 1, "tank", 66, 400, leaves=(1,), tops=1), Label(0, 2, "tank", 77, 900, leaves=(2,), tops=1)
    found = find_import_devices("tank", single(2), {0: old, 1: new})
    assert (found.guid, found.disks) == (77, (1,))


def test_a_missing_disk_of_the_orders_is_no_stranger() -> None:
    assert not find_import_devices("tank", single(2), {0: device(1, leaves=(1, 2))}).refusal


def test_a_device_outside_the_orders_is_refused() -> None:
    labels = {0: device(1, leaves=(1, 2, 3)), 1: device(2, leaves=(1, 2, 3))}
    assert "only 2 of them are on the 2 disks" in find_import_devices("tank", single(2), labels).refusal


def test_a_whole_vdev_outside_the_orders_is_refused() -> None:
    labels = {0: device(1, tops=2)}
    assert "write down every disk" in find_import_devices("tank", single(1), labels).refusal
    assert not find_import_devices("tank", single(2), labels).refusal, "the other disk of the orders may be it"
    hole = {0: Label(0, 1, "tank", 77, 4, 0, 2, (1,), (1,))}
    assert not find_import_devices("tank", single(1), hole).refusal, "a log that was removed leaves a hole"


def zoo(guid: int, state: int = 0) -> Label:
    return Label(state, guid, "zoo", 5, 4, 0, 1, (), (21, 22))


def test_the_disks_of_another_pool_do_not_hide_a_device_outside_the_orders() -> None:
    """A mirror of three, of which the orders name two, beside a second pool: whatever that one's disks say."""
    orders = orders_of(("tank/mirror-0", 2), ("zoo/mirror-0", 2))
    tank = {at: device(at + 1, leaves=(1, 2, 3)) for at in (0, 1)}
    for others in ({2: zoo(21), 3: zoo(22)}, {2: zoo(21), 3: None}, {2: zoo(21)}, {}):
        assert "write down every disk" in find_import_devices("tank", orders, {**tank, **others}).refusal
    log = {at: device(at + 1, leaves=(1, 2), tops=2) for at in (0, 1)}
    assert "write down every disk" in find_import_devices("tank", orders, {**log, 2: zoo(21), 3: zoo(22)}).refusal
    assert not find_import_devices("zoo", orders, {**tank, 2: zoo(21), 3: zoo(22)}).refusal, "a whole pool beside it"


def test_a_disk_of_no_vdev_hides_nothing_once_it_shows_what_it_is() -> None:
    orders = orders_of(("tank/mirror-0", 2), ("zoo/mirror-0", 2), loose=1)
    labels = {0: device(1, leaves=(1, 2, 3)), 1: device(2, leaves=(1, 2, 3)), 2: zoo(21), 3: zoo(22)}
    for shown in (Label(3, 9), Label(4, 9), zoo(23)):
        assert find_import_devices("tank", orders, {**labels, 4: shown}).refusal
    assert find_import_devices("tank", orders, {**labels, 4: None}, bare={4}).refusal
    assert not find_import_devices("tank", orders, {**labels, 4: None}).refusal, "it cannot be read, so it may be it"
    assert not find_import_devices("tank", orders, labels).refusal
    assert not find_import_devices("tank", orders, {**labels, 4: Label(3, 3)}).refusal, (
        "a spare that has just come into use"
    )
    assert not find_import_devices("tank", orders, {**labels, 4: device(3, leaves=(1, 2, 3))}).refusal


def test_a_pool_that_lost_disks_of_the_orders_is_not_refused() -> None:
    orders = orders_of(("tank/mirror-0", 2), ("zoo/mirror-0", 2), loose=1)
    alone = device(1, leaves=(1, 2))
    for answer in (None, Label(0, 9, "old", 66, leaves=(9,)), Label(2, 9, "zoo", 6), Label(3, 9)):
        replaced = {0: alone, 1: answer, 2: zoo(21), 3: zoo(22)}
        assert not find_import_devices("tank", orders, replaced, bare={1} if answer is None else ()).refusal, (
            "in its place"
        )
    assert not find_import_devices("tank", orders, {0: alone}).refusal
    spare_in_use = device(1, leaves=(1, 2, 3))
    assert not find_import_devices("tank", orders, {0: spare_in_use, 2: zoo(21)}).refusal
    assert find_import_devices("tank", orders, {0: alone, 1: zoo(24), 2: zoo(21), 3: zoo(22), 4: Label(3, 9)}).refusal


def test_an_old_pool_of_the_other_name_is_not_the_other_pool() -> None:
    orders = orders_of(("tank/mirror-0", 2), ("zoo/mirror-0", 2))
    old = Label(0, 9, "zoo", 6, 900, leaves=(9,))
    labels = {0: device(1, leaves=(1, 2)), 1: old, 2: zoo(21), 3: zoo(22)}
    assert not find_import_devices("tank", orders, labels, words=(0, mark(5, 4))).refusal, "by the last owner's word"


# Disks that are missing -----------------------------------------------------------------------------------------------

ORDERS = Orders(
    "pair",
    Side.A,
    1,
    ("one", "two"),
    ("d0", "d1", "d2", "d3", "d4"),
    (Vdev("tank/mirror-0", (0, 1), 1), Vdev("tank/raidz1-1", (2, 3, 4), 2)),
    (0, 1, 2),
    channels=(),
)
RAIDZ = {at: device(at, top=1, leaves=(2, 3, 4), tops=2) for at in (2, 3, 4)}
MIRROR = {at: device(at, leaves=(10, 11), tops=2) for at in (10, 11)}
LINE = "vdev tank/mirror-0: the newest writes may be missing: d1 cannot be read"


def test_nothing_is_missing_when_all_answer() -> None:
    assert incomplete(ORDERS, {0: MIRROR[10], 1: MIRROR[11], **RAIDZ}) == ()


def test_half_of_a_mirror_alone_may_be_the_older_one() -> None:
    assert incomplete(ORDERS, {0: MIRROR[10], **RAIDZ}) == (LINE,)


def test_a_disk_that_the_last_owner_had_given_up_is_not_waited_for_and_never_counts() -> None:
    assert incomplete(ORDERS, {0: MIRROR[10], **RAIDZ}, frozenset({1})) == ()
    (line,) = incomplete(ORDERS, {0: MIRROR[10], **RAIDZ}, frozenset({0}))
    assert line == f"{LINE}; d0 given up by the last owner"
    both = {0: MIRROR[10], 1: MIRROR[11]}
    assert incomplete(ORDERS, {**both, 2: RAIDZ[2], 3: RAIDZ[3]}, frozenset({4})) == ()
    assert "d3 given up" in incomplete(ORDERS, {**both, 2: RAIDZ[2], 3: RAIDZ[3]}, frozenset({3}))[0]


def test_what_stands_where_a_label_should_be_proves_nothing() -> None:
    """A disk that was wiped, cannot be read, or has another pool: the other half may be the older one."""
    for answer in (None, Label(3, 99), Label(0, 9, "other", 5, leaves=(9,))):
        assert incomplete(ORDERS, {0: MIRROR[10], 1: answer, **RAIDZ}) != ()
    (line,) = incomplete(ORDERS, {0: MIRROR[10], 1: None, **RAIDZ}, bare={1})
    assert line == "vdev tank/mirror-0: the newest writes may be missing: d1 carries nothing of the pool"
    known = device(10, leaves=(10, 11), tops=2, given_up=(11,))
    assert incomplete(ORDERS, {0: known, 1: None, **RAIDZ}, bare={1}) == (), "a new disk in the place of a dead one"


def test_of_a_raidz_enough_have_to_be_current() -> None:
    both = {0: MIRROR[10], 1: MIRROR[11]}
    assert incomplete(ORDERS, {**both, 2: RAIDZ[2], 3: RAIDZ[3]}) == ()
    assert "d3, d4 cannot be read" in incomplete(ORDERS, {**both, 2: RAIDZ[2]})[0]
    now, then = replace(RAIDZ[2], written=900), replace(RAIDZ[3], written=850)
    (line,) = incomplete(ORDERS, {**both, 2: now, 3: then})
    assert line == "vdev tank/raidz1-1: the newest writes may be missing: d4 cannot be read; d3 behind the others"
    assert incomplete(ORDERS, {**both, 2: now, 3: replace(then, written=899)}) == (), "a crash within a commit"
    known = replace(now, given_up=(3,))
    assert incomplete(ORDERS, {**both, 2: known, 3: replace(then, written=899)}) != ()
    resilvering = replace(now, behind=(3,))
    assert incomplete(ORDERS, {**both, 2: resilvering, 3: replace(then, written=900)}) != ()


def test_a_spare_in_use_counts_for_the_disk_that_it_replaces() -> None:
    """Disk 1 failed, the spare took its place, then disk 0 failed: the spare alone has what is new."""
    orders = replace(ORDERS, disks=("d0", "d1", "s0"), vdevs=(Vdev("tank/mirror-0", (0, 1), 1),), arbitration=(0,))
    tree = {"leaves": (10, 11, 12), "places": ((10,), (11, 12)), "given_up": (11,)}
    half, spare = device(10, **tree, written=50), device(12, **tree, written=50)  # type: ignore[arg-type]
    assert incomplete(orders, {0: half, 2: spare}) == ()
    assert "d1, s0 cannot be read" in incomplete(orders, {0: half})[0]
    assert "d1, s0 cannot be read; d0 given up" in incomplete(orders, {0: half}, frozenset({0, 1}))[0]
    alone = replace(spare, given_up=(10, 11), written=90)
    assert incomplete(orders, {0: half, 2: alone}, frozenset({0, 1})) == ()
    assert incomplete(orders, {2: alone}, frozenset({0, 1})) == ()
    stale = device(11, leaves=(10, 11), written=20)
    assert incomplete(orders, {1: stale}, frozenset({0, 1})) != (), "of the spare it knows nothing"
    assert incomplete(orders, {1: stale}, frozenset({1})) != ()
    assert incomplete(orders, {1: stale, 2: alone}, frozenset({0, 1})) == ()
    lost = replace(half, given_up=(11, 12), written=90)
    assert incomplete(orders, {0: lost}, frozenset({1, 2})) == (), "a spare that failed in its turn"


def test_an_owner_that_lost_every_disk_tells_none_from_the_others() -> None:
    """Its cable was pulled: no pool went on without these disks, so all of them have what was written last."""
    every = {0: MIRROR[10], 1: MIRROR[11], **RAIDZ}
    assert incomplete(ORDERS, every, frozenset(range(5))) == ()
    assert incomplete(ORDERS, {**every, 0: replace(MIRROR[10], written=8), 1: replace(MIRROR[11], written=9)}) == ()
    del every[1]
    assert incomplete(ORDERS, every, frozenset(range(5))) == (LINE,)


def test_a_disk_that_the_pool_had_given_up_is_not_missed() -> None:
    survivor = device(10, leaves=(10, 11), tops=2, given_up=(11,))
    assert incomplete(ORDERS, {0: survivor, **RAIDZ}) == ()
    stale = device(11, leaves=(10, 11), tops=2, given_up=(11,))
    assert incomplete(ORDERS, {1: stale, **RAIDZ}) != (), "that it was given up itself excuses nobody"


def test_the_newest_label_of_a_vdev_says_what_was_given_up() -> None:
    before = {at: Label(0, at, "tank", 77, 4, 0, 1, (), (10, 11, 12)) for at in (10, 11)}
    after = Label(0, 11, "tank", 77, 9, 0, 1, (), (10, 11, 12), (12,))
    three = Orders("p", Side.A, 1, ("one", "two"), ("d0", "d1", "d2"), (Vdev("tank/mirror-0", (0, 1, 2), 1),), (0,), ())
    assert incomplete(three, {0: before[10], 1: before[11]}) != ()
    assert incomplete(three, {0: before[10], 1: after}) == ()


def test_a_vdev_of_which_nothing_is_seen_is_left_to_zfs() -> None:
    assert incomplete(ORDERS, {0: MIRROR[10], 1: MIRROR[11]}) == ()


def test_a_label_tells_which_device_stands_in_for_which() -> None:
    def disk(guid: int, **more: int) -> dict[str, object]:
        return {"type": "disk", "id": 0, "guid": guid, **more}

    pair = {"type": "spare", "id": 1, "guid": 55, "children": [disk(12, removed=1), disk(13, resilver_txg=7)]}
    found = parse_label(label(vdev_tree={"type": "raidz", "id": 1, "guid": 100, "children": [disk(11), pair]}))
    assert found is not None and found.places == ((11,), (12, 13))
    assert (found.leaves, found.given_up, found.behind) == ((11, 12, 13), (12,), (13,))
    found = parse_label(label(vdev_tree=pair))
    assert found is not None and found.places == ((12, 13),), "of a disk that is alone in its vdev"
    virtual = {"type": "dspare", "id": 1, "guid": 66}
    draid = {"type": "spare", "id": 1, "guid": 55, "children": [disk(12, faulted=1), virtual]}
    found = parse_label(label(vdev_tree={"type": "draid", "id": 1, "guid": 100, "children": [disk(11), draid]}))
    assert found is not None and found.places == ((11,), (12,)), "a distributed spare is no disk"


def test_a_label_tells_which_of_its_vdev_were_given_up() -> None:
    leaves = [
        {"type": "disk", "id": at, "guid": guid, **more} for at, guid, more in ((0, 11, {"faulted": 1}), (1, 12, {}))
    ]
    found = parse_label(label(vdev_tree={"type": "mirror", "id": 1, "guid": 100, "children": leaves}))
    assert found is not None and found.given_up == (11,)


def test_a_real_label() -> None:
    """As OpenZFS 2.1.11 wrote it: half of the first of two mirrors."""
    found = parse_label((Path(__file__).parent / "label.bin").read_bytes())
    assert found is not None
    assert (found.pool, found.pool_guid, found.guid) == ("tank", 9922001518810721774, 3831698349737593995)
    assert found.leaves == (3831698349737593995, 13599283852941157305)
    assert (found.state, found.txg, found.top, found.tops, found.given_up) == (0, 4, 0, 2, ())
    assert found.hostname == "alpha"


def test_a_disk_is_bare_when_there_is_neither_a_label_nor_a_table_of_partitions(tmp_path: Path) -> None:
    places = {at: tmp_path / f"disk{at}" for at in range(6)}
    for path in places.values():
        path.write_bytes(bytes(1 << 20))
    (tmp_path / "disk1").write_bytes(bytes(512) + b"EFI PART" + bytes(1 << 20))
    (tmp_path / "disk2").write_bytes(bytes(4096) + b"EFI PART" + bytes(1 << 20))
    (tmp_path / "disk3").write_bytes(bytes(510) + b"\x55\xaa" + bytes(1 << 20))
    (tmp_path / "disk4").write_bytes(bytes(LIST_OFFSETS[1]) + b"what is this" + bytes(1 << 20))
    (tmp_path / "disk5").write_bytes(bytes(4000))
    found = read_devices({**places, 6: tmp_path / "nowhere"}, LONG_S)
    assert {at for at, seen in found.items() if seen.bare} == {0}
    assert len(found) == 7
    assert all(seen.label is None for seen in found.values())


def test_a_pool_is_unmade_while_nothing_is_on_any_disk_of_its_vdevs() -> None:
    orders = replace(ORDERS, vdevs=(Vdev("tank/mirror-0", (0, 1), 1), Vdev("new/mirror-0", (2, 3), 1)))
    assert is_unmade("new", orders, {2, 3})
    assert is_unmade("new", orders, {0, 1, 2, 3})
    assert not is_unmade("new", orders, {2}), "one that does not answer may hold it"
    assert not is_unmade("tank", orders, {2, 3})
