"""Whether multipathd is told to register keys of its own."""

from pathlib import Path

import pytest

from reconciler.system.shelf.multipathd import FILES_MAX, findings


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def mapped(root: Path, uuid: str = "mpath-35000c500") -> None:
    write(root / "sys/block/dm-3/dm/uuid", f"{uuid}\n")


@pytest.mark.parametrize(
    "text",
    [
        "defaults {\n\treservation_key 0x123abc\n}\n",
        "multipaths {\n multipath {\n  wwid 35000c500\n  reservation_key file\n }\n}\n",
        'reservation_key "file"',
    ],
)
@pytest.mark.parametrize("name", ["etc/multipath.conf", "etc/multipath/conf.d/site.conf"])
def test_a_key_is_found_wherever_it_is_configured(tmp_path: Path, name: str, text: str) -> None:
    mapped(tmp_path)
    write(tmp_path / name, text)
    (found,) = findings(tmp_path)
    assert (found.code, found.evidence) == ("MULTIPATH_KEY", f"/{name}")


@pytest.mark.parametrize(
    "text", ["", "defaults {\n # reservation_key 0x1\n}\n", "! reservation_key 0x1\n", "no_reservation_key 0x1\n"]
)
def test_what_is_no_key_is_none(tmp_path: Path, text: str) -> None:
    mapped(tmp_path)
    write(tmp_path / "etc/multipath.conf", text)
    assert findings(tmp_path) == ()


def test_without_multipath_devices_nothing_is_wrong(tmp_path: Path) -> None:
    assert findings(tmp_path) == ()
    write(tmp_path / "etc/multipath.conf", "reservation_key 0x1\n")
    mapped(tmp_path, "LVM-abc")
    assert findings(tmp_path) == ()


def test_many_and_unreadable_files_end(tmp_path: Path) -> None:
    mapped(tmp_path)
    (tmp_path / "etc/multipath.conf").mkdir(parents=True)
    for number in range(2 * FILES_MAX):
        write(tmp_path / f"etc/multipath/conf.d/{number:03}.conf", "reservation_key 0x1\n")
    (found,) = findings(tmp_path)
    assert "000.conf" in found.evidence
