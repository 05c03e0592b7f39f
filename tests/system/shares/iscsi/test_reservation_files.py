"""Files of reservations with APTPL: as the kernel writes them, and damaged ones."""

from __future__ import annotations

import pytest

from reconciler.system.shares.iscsi.reservation_files import NOTHING, ReservationFileError, registrations

#: As target_core_pr.c writes it, with the byte that ends the text.
FILE = (
    b"PR_REG_START: 0\ninitiator_fabric=iSCSI\ninitiator_node=iqn.2026-01.lab:client\ninitiator_sid=00023d010000\n"
    b"sa_res_key=2748\nres_holder=1\nres_type=08\nres_scope=00\nres_all_tg_pt=0\nmapped_lun=0\n"
    b"target_fabric=iSCSI\ntarget_node=iqn.2026-01.lab:disks\ntpgt=1\nport_rtpi=2\ntarget_lun=0\nPR_REG_END: 0\n"
    b"PR_REG_START: 1\ninitiator_fabric=iSCSI\ninitiator_node=iqn.2026-01.lab:other\n"
    b"sa_res_key=1\nres_holder=0\nres_all_tg_pt=1\nmapped_lun=10\n"
    b"target_fabric=iSCSI\ntarget_node=iqn.2026-01.lab:disks\ntpgt=1\nport_rtpi=2\ntarget_lun=10\nPR_REG_END: 1\n\0"
)


def test_each_registration_is_a_line_for_the_kernel() -> None:
    first, second = registrations(FILE)
    assert first == (
        "initiator_fabric=iSCSI,initiator_node=iqn.2026-01.lab:client,initiator_sid=00023d010000,sa_res_key=2748,"
        "res_holder=1,res_type=8,res_scope=0,res_all_tg_pt=0,mapped_lun=0,"
        "target_fabric=iSCSI,target_node=iqn.2026-01.lab:disks,tpgt=1,port_rtpi=2,target_lun=0"
    )
    assert "res_holder=0,res_all_tg_pt=1,mapped_lun=10" in second and "initiator_sid" not in second


@pytest.mark.parametrize("content", [b"", b"\0", NOTHING.encode() + b"\0"])
def test_no_registrations(content: bytes) -> None:
    assert registrations(content) == []


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        (b"client", b"cl,ient", "no iSCSI name"),
        (b"lab:disks", b"lab:../x", "no iSCSI name"),
        (b"=iSCSI", b"=loopback", "another fabric"),
        (b"00023d010000", b"00023d01,x=1", "no identifier of a session"),
        (b"res_type=08", b"res_type=02", "no type of a reservation"),
        (b"sa_res_key=2748", b"sa_res_key=99999999999999999999", "at most"),
        (b"sa_res_key=2748", b"sa_res_key=abc", "no number"),
        (b"sa_res_key=2748\n", b"", "no number"),
        (b"mapped_lun=0", b"mapped_lun=20000", "at most"),
        (b"PR_REG_END: 1\n", b"", "ends within"),
        (b"PR_REG_END: 0\n", b"", "unexpected line"),
        (b"tpgt=1", b"tpgt\xff", "no text"),
        (b"PR_REG_START: 0", b"something", "unexpected line"),
    ],
)
def test_damaged_files_are_refused(before: bytes, after: bytes, word: str) -> None:
    with pytest.raises(ReservationFileError, match=word):
        registrations(FILE.replace(before, after, 1))


def test_a_large_file_is_refused() -> None:
    with pytest.raises(ReservationFileError, match="larger"):
        registrations(b"\n" * ((1 << 20) + 1))


def test_any_cut_of_a_file_is_refused_or_whole() -> None:
    for length in range(len(FILE)):
        try:
            found = registrations(FILE[:length])
        except ReservationFileError:
            continue
        assert len(found) in (0, 1, 2)
