"""The checker of acknowledged records finds missing and damaged ones."""

from __future__ import annotations

from pathlib import Path

from tests.lab.pair.records import RECORD_BYTES, SLOTS, problems, record


def written(place: Path, life: int, count: int) -> None:
    """Write the files of a writer that had `count` records acknowledged."""
    (place / f"log-{life}").write_bytes(b"".join(record(life, number) for number in range(count)))
    slots = bytearray((place / "slots").read_bytes() if (place / "slots").exists() else b"")
    for number in range(count):
        at = number % SLOTS * RECORD_BYTES
        slots[at : at + RECORD_BYTES] = record(life, number)
    (place / "slots").write_bytes(slots)


def test_a_record_is_its_name_and_what_only_this_name_gives() -> None:
    assert record(3, 7).startswith(b"3 7\n") and len(record(3, 7)) == RECORD_BYTES
    assert record(3, 7)[4:] != record(3, 8)[4:]


def test_all_is_there(tmp_path: Path) -> None:
    written(tmp_path, 1, 3 * SLOTS + 5)
    written(tmp_path, 2, 9)
    assert problems(tmp_path, {1: 3 * SLOTS + 5, 2: 9}) == []


def test_more_than_was_acknowledged_is_no_fault(tmp_path: Path) -> None:
    written(tmp_path, 1, 70)
    assert problems(tmp_path, {1: 65}) == []


def test_a_missing_record_is_found(tmp_path: Path) -> None:
    written(tmp_path, 1, 5)
    assert problems(tmp_path, {1: 6}) == [
        "log-1: record 5 of 6 is missing",
        "slot 5: (1, 5) was acknowledged, (0, 0) is there",
    ]


def test_a_damaged_record_is_found(tmp_path: Path) -> None:
    written(tmp_path, 1, 5)
    data = bytearray((tmp_path / "log-1").read_bytes())
    data[2 * RECORD_BYTES + 100] ^= 1
    (tmp_path / "log-1").write_bytes(data)
    assert problems(tmp_path, {1: 5}) == ["log-1: record 2 of 5 is damaged"]


def test_a_slot_that_went_back_in_time_is_found(tmp_path: Path) -> None:
    written(tmp_path, 2, 4)
    slots = bytearray((tmp_path / "slots").read_bytes())
    slots[RECORD_BYTES : 2 * RECORD_BYTES] = record(1, 1)
    (tmp_path / "slots").write_bytes(slots)
    assert problems(tmp_path, {2: 4}) == ["slot 1: (2, 1) was acknowledged, (1, 1) is there"]


def test_a_pool_that_is_empty_has_nothing(tmp_path: Path) -> None:
    assert len(problems(tmp_path, {1: 2})) == 4
