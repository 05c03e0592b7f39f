"""Many pairs in one repository: what no two of them may have."""

from __future__ import annotations

from pathlib import Path

from reconciler.core.spec import load
from reconciler.core.spec.fleet import UniqueValue, doubled, has_pair, unique_values, without_pair

ROOT = Path(__file__).parents[3] / "examples" / "fleet"
SHELF1 = (ROOT / "pairs/shelf1/pair.yaml").read_text()
COMMON = (ROOT / "common/operations.yaml").read_bytes()
TARGETS = """\
---
apiVersion: hagit/v1
kind: IscsiTarget
metadata: {name: vm}
spec:
  iqn: iqn.2026-01.org.example:vm
  luns: [{lun: 0, dataset: vm1}]
  initiators: [{iqn: "iqn.1993-08.org.debian:01:hypervisor1"}]
---
apiVersion: hagit/v1
kind: Dataset
metadata: {name: vm1}
spec: {dataset: tank/vm1, type: volume, size: 1G, properties: {sync: always}}
"""


def values(folder: str, text: str, common: bytes = COMMON) -> list[UniqueValue]:
    tree = {f"{folder}/pair.yaml": text.encode(), "common/operations.yaml": common}
    return list(unique_values(load(tree, folder), folder))


def test_a_copied_folder_is_noticed_value_by_value() -> None:
    found = doubled([*values("pairs/one", SHELF1), *values("pairs/two", SHELF1)])
    assert all(complaint.file == "pairs/two/pair.yaml" and complaint.line and complaint.column for complaint in found)
    text = "\n".join(complaint.what for complaint in found)
    for word in (
        "the name `shelf1`", "the host name `shelf1-a`", "the host name `shelf1`", "the serial number `A1-0001`",
        "the MAC address `02:00:00:01:0a:02`", "the address 10.0.0.11;", "the address 10.0.0.10;",
        "the VHID 10 in the network 10.0.0.0/24", "the disk `wwn-0x5000c500a1b2c104`",
    ):  # fmt: skip
        assert word in text, word
    assert "169.254" not in text, "the private link of each pair is its own network"
    disk = next(complaint for complaint in found if "c104" in complaint.what)
    assert "the pairs in `pairs/one` and `pairs/two` both have" in disk.what
    assert f"pairs/one/pair.yaml:{disk.line}:{disk.column}" in disk.what


def test_pairs_of_other_sites_have_other_networks_but_no_other_hardware() -> None:
    elsewhere = SHELF1.replace("site: berlin", "site: paris")
    text = "\n".join(one.what for one in doubled([*values("one", SHELF1), *values("two", elsewhere)]))
    assert "address 10." not in text and "VHID" not in text and "host name" not in text
    assert "serial number" in text and "disk" in text and "MAC address" in text and "the name `shelf1`" in text


def test_a_shared_target_is_served_by_two_pairs() -> None:
    other = (ROOT / "pairs/shelf2/pair.yaml").read_text()
    common = COMMON + TARGETS.encode()
    assert doubled([*values("one", SHELF1), *values("two", other)]) == []
    (complaint,) = doubled([*values("one", SHELF1, common), *values("two", other, common)])
    assert complaint.file == "common/operations.yaml"
    assert "the pairs in `one` and `two` both have the iSCSI name `iqn.2026-01.org.example:vm`" in complaint.what


def test_which_files_have_a_pair() -> None:
    assert has_pair("x/pair.yaml", SHELF1.encode())
    assert not has_pair("x/pair.txt", SHELF1.encode())
    assert not has_pair("x/other.yaml", b"# no Pair here\nkind: Route\n")
    assert has_pair("x/pair.yaml", SHELF1.replace("kind: Pair", 'kind: "P\\u0061ir"').encode())


def test_files_that_no_pair_reads_are_named() -> None:
    paths = ["common/a.yaml", "pairs/one/sub/b.yaml", "pairs/gone/c.yaml", "d.yaml"]
    found = without_pair(paths, {"pairs/one": ("common",)})
    assert [complaint.file for complaint in found] == [".", "pairs/gone"]
    assert without_pair(paths, {"": ()}) == []
