"""`zpool events -f -v -H`, in pieces: a refused write is told once, and nothing else is."""

import pytest

from reconciler.system.zfs.events import EventReader, IoError

CONFLICT = """\
Nov 22 2026 01:02:03.123456789\tereport.fs.zfs.io
        class = "ereport.fs.zfs.io"
        ena = 0x3f1a2b4c00001
        detector = (embedded nvlist)
                version = 0x0
                scheme = "zfs"
                pool = 0x8a1b2c3d4e5f6071
                vdev = 0x1122334455667788
        (end detector)
        pool = "tank"
        pool_guid = 0x8a1b2c3d4e5f6071
        pool_state = 0x0
        pool_failmode = "panic"
        vdev_path = "/dev/sda1"
        zio_err = 0x34
        zio_flags = 0x380880
        time = 0x6920c0ab 0x75bcd15
        eid = 0x2a

"""
OTHERS = """\
Nov 22 2026 01:02:03.000000000\tsysevent.fs.zfs.history_event
        version = 0x0
        class = "sysevent.fs.zfs.history_event"
        pool = "tank"
        history_internal_str = "zio_err = 0x34"
        time = 0x6920c0ab 0x0
        eid = 0x1

Nov 22 2026 01:02:03.000000000\tereport.fs.zfs.io
        class = "ereport.fs.zfs.io"
        pool = "tank"
        zio_err = 0x5
        time = 0x6920c0ac 0x0
        eid = 0x2

"""


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_in_pieces_of_any_size(size: int) -> None:
    reader, text = EventReader(), OTHERS + CONFLICT + OTHERS
    found = [error for at in range(0, len(text), size) for error in reader.take(text[at : at + size])]
    assert found == [IoError("tank", 5, 0x6920C0AC), IoError("tank", 52, 0x6920C0AB), IoError("tank", 5, 0x6920C0AC)]
    assert [error.conflict for error in found] == [False, True, False]


def test_an_event_without_an_end_is_not_told_yet() -> None:
    reader = EventReader()
    assert reader.take(CONFLICT.rstrip("\n")) == ()
    assert reader.take("\n\n")[0].conflict


def test_nonsense_does_nothing() -> None:
    assert (
        EventReader().take("x" * 200_000 + "\n\n" + '        zio_err = dance\n        class = "ereport.fs.zfs.io"\n\n')
        == ()
    )
