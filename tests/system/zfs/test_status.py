"""What `zpool status -P -p` prints, of several releases, as a tree."""

from pathlib import Path

from reconciler.system.zfs.devices import Names
from reconciler.system.zfs.observe import layout_of
from reconciler.system.zfs.status import parse_status
from reconciler.system.zfs.values import Health, LayoutVdev, PoolLayout, VdevKind, VdevRole

NOWHERE = Path("/nowhere/by-id")

#: One pool that has everything, and one that is suspended.
EVERYTHING = (Path(__file__).parent / "status.txt").read_text()


def test_every_section_is_read() -> None:
    tank, zoo = parse_status(EVERYTHING)
    assert (tank.name, tank.health, zoo.name, zoo.health) == ("tank", Health.DEGRADED, "zoo", Health.SUSPENDED)
    assert tank.scan.startswith("resilvered 1.50M")
    assert [(row.name, row.role) for row in tank.rows] == [
        ("mirror-0", VdevRole.DATA),
        ("raidz2-1", VdevRole.DATA),
        ("/dev/disk/by-id/wwn-0xd-part1", VdevRole.DEDUP),
        ("mirror-2", VdevRole.SPECIAL),
        ("/dev/disk/by-id/wwn-0x7-part1", VdevRole.LOG),
        ("/dev/disk/by-id/wwn-0x8-part1", VdevRole.CACHE),
        ("/dev/disk/by-id/wwn-0x9-part1", VdevRole.SPARE),
        ("/dev/disk/by-id/wwn-0xc-part1", VdevRole.SPARE),
    ]
    assert len(list(tank.leaves())) == 15


def test_a_device_that_is_gone_has_a_guid_and_the_path_where_it_was() -> None:
    gone = next(row for row in parse_status(EVERYTHING)[0].leaves() if row.guid is not None)
    assert (gone.guid, gone.path) == (8765432109876543210, "/dev/disk/by-id/wwn-0x4-part1")
    assert (gone.health, gone.errors) == (Health.UNAVAIL, (3, 212, 0))


def test_the_layout_is_what_stands_when_replacements_have_ended() -> None:
    names = Names(NOWHERE, [f"wwn-0x{digit}" for digit in "123456789abcd"])
    tank, zoo = parse_status(EVERYTHING)
    assert layout_of(tank, names) == PoolLayout(
        vdevs=(
            LayoutVdev(VdevKind.MIRROR, ("wwn-0x1", "wwn-0x2")),
            LayoutVdev(VdevKind.RAIDZ2, ("wwn-0x3", "wwn-0x4", "/dev/disk/by-id/wwn-0x15-part1", "wwn-0x6")),
        ),
        special=(LayoutVdev(VdevKind.MIRROR, ("wwn-0xa", "wwn-0xb")),),
        dedup=(LayoutVdev(VdevKind.DISK, ("wwn-0xd",)),),
        log=(LayoutVdev(VdevKind.DISK, ("wwn-0x7",)),),
        cache=("wwn-0x8",),
        spares=("wwn-0x9", "wwn-0xc"),
    )
    assert layout_of(zoo, names).vdevs == (LayoutVdev(VdevKind.DISK, ("/dev/sdz1",)),)


def test_columns_of_later_releases_are_passed_over() -> None:
    # 2.2 and later with -s, and 2.3's power column: what stands behind the counts is a note.
    text = EVERYTHING.replace("     0     0     0\n", "     0     0     0     5\n").replace(
        "READ WRITE CKSUM", "READ WRITE CKSUM  SLOW"
    )
    assert [row.name for row in parse_status(text)[0].leaves()] == [
        row.name for row in parse_status(EVERYTHING)[0].leaves()
    ]


IMPORTABLE = """\
   pool: tank
     id: 15451357997522795478
  state: DEGRADED
 status: One or more devices contains corrupted data.
 action: The pool can be imported despite missing or damaged devices.  The
\tfault tolerance of the pool may be compromised if imported.
   see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-4J
 config:

\ttank                               DEGRADED
\t  mirror-0                         DEGRADED
\t    /dev/disk/by-id/wwn-0x1-part1  ONLINE
\t    8765432109876543210            UNAVAIL  cannot open
\tlogs
\t  /dev/sdb1                        ONLINE

   pool: zoo
     id: 77
  state: UNAVAIL
 status: The pool was last accessed by another system.
 config:

\tzoo  UNAVAIL  missing device
"""


def test_pools_that_could_be_imported() -> None:
    tank, zoo = parse_status(IMPORTABLE)
    assert (tank.name, tank.guid, tank.health) == ("tank", 15451357997522795478, Health.DEGRADED)
    assert tank.problem == "One or more devices contains corrupted data."
    assert [(row.name, row.kind, row.role) for row in tank.rows] == [
        ("mirror-0", VdevKind.MIRROR, VdevRole.DATA),
        ("/dev/sdb1", VdevKind.DISK, VdevRole.LOG),
    ]
    assert (zoo.guid, zoo.rows) == (77, ())


def test_nothing_and_nonsense_are_no_pools() -> None:
    assert parse_status("no pools available\n") == ()
    assert parse_status("") == ()
    (odd,) = parse_status("\x00\n  pool: odd\n state: DANCING\nconfig:\n\n\t\t\n\t  mirror-0 ONLINE\n\t    \xff\n")
    assert (odd.name, odd.health) == ("odd", Health.UNKNOWN)


def test_a_label_by_guid_beats_where_it_was() -> None:
    names = Names(NOWHERE, ["moved"], {8765432109876543210: "moved"})
    assert "moved" in layout_of(parse_status(EVERYTHING)[0], names).vdevs[1].disks
