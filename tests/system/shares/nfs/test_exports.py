"""Each export stands for itself: what one of them lacks is a problem of that one only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reconciler.core.shares.shares import NfsClients, NfsExport, NfsServer, Shares
from reconciler.system.shares.nfs.exports import host_names, resolve_exports
from reconciler.system.shares.nfs.kernel_server import escaped, version_words
from reconciler.system.shares.nfs.mounted_datasets import MountedDataset
from reconciler.system.shares.nfs.start_record import StartRecord, read_record, write_record

ANYBODY = (NfsClients("*"),)
HOME = NfsExport("home", "tank/home", ANYBODY)


def shares(*exports: NfsExport) -> Shares:
    return Shares("lab", "files", "tank/hagit-state", NfsServer(("10.0.0.100",)), exports)


def test_one_faulty_export_holds_up_no_other(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    wanted = shares(
        HOME,
        replace(HOME, name="gone", dataset="tank/gone"),
        replace(HOME, name="strange", dataset="tank/strange"),
        replace(HOME, name="link", path="link"),
        replace(HOME, name="up", path="../up"),
        replace(HOME, name="clients", clients=(NfsClients("a b"),)),
        replace(HOME, name="nameless", clients=(NfsClients("gone.example.org"),)),
        replace(HOME, name="partly", clients=(*ANYBODY, NfsClients("gone.example.org"))),
    )
    place = MountedDataset(str(tmp_path), tmp_path.stat().st_dev)
    found = resolve_exports(wanted, {"tank/home": place, "tank/strange": place}, {"tank/home": "7"}, {})
    assert sorted(found.lines) == ["home", "partly"]
    assert found.table() == "".join(f"{line}\n" for name in ("home", "partly") for line in found.lines[name])
    assert [(problem.name, problem.served) for problem in found.problems] == [
        ("gone", False), ("strange", False), ("link", False), ("up", False), ("clients", False), ("nameless", False),
        ("partly", True),
    ]  # fmt: skip
    assert found.problems[0].text == "its dataset tank/gone is not mounted"
    assert found.problems[2].text == f"{tmp_path}/link cannot be exported: it leads over a symbolic link"
    assert host_names(wanted) == {"gone.example.org"}


def test_versions_are_in_the_words_of_nfsd() -> None:
    assert version_words(("4.1", "4.2")) == "-2 -3 +4 -4.0 +4.1 +4.2"
    assert version_words(("3", "4.0", "4.1", "4.2")) == "-2 +3 +4 +4.0 +4.1 +4.2"
    assert version_words(("3",)) == "-2 +3 -4 -4.0 -4.1 -4.2"


def test_a_path_is_compared_as_the_kernel_prints_it() -> None:
    assert escaped("/srv/two words\\") == r"/srv/two\040words\134"


def test_the_record_of_a_start_is_read_back_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    record = StartRecord(
        "files", ("4.1",), 15, 15, ("10.0.0.100",), {"home": ("line",)}, {"tank/home": "7"}, {"a": ("192.0.2.1",)}
    )
    write_record(tmp_path / "start.json", record)
    assert read_record(tmp_path / "start.json") == record
    assert read_record(tmp_path / "gone") is None
    for text in ("", "{", "[]", "{}", '{"format": "hagit.nfs/1"}', '{"format": "hagit.nfs/2"}'):
        (tmp_path / "start.json").write_text(text)
        assert read_record(tmp_path / "start.json") is None
