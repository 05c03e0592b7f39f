"""What Pools and Datasets compile to: facts that are the same on both controllers."""

from pathlib import Path

import pytest

from reconciler.core.facts.storage import STAMP, Dataset, DatasetKind, Pool, PoolProperty, Property
from reconciler.core.spec import compile_desired, load

GOOD = Path(__file__).parent / "good"
PAIR = (GOOD / "pair.yaml").read_bytes()
LONE = b"apiVersion: hagit/v1\nkind: Pair\nmetadata: {name: one}\nspec:\n  a: {hostname: one}\n"
LAYOUT = """\
apiVersion: hagit/v1
kind: Pool
metadata: {name: tank}
spec:
  vdevs:
    - {type: mirror, disks: [wwn-0x5000c500a1b2c301, wwn-0x5000c500a1b2c302]}
    - {type: disk, disks: [wwn-0x5000c500a1b2c303, wwn-0x5000c500a1b2c304]}
  log: [{type: disk, disks: [wwn-0x5000c500a1b2c305]}]
  cache: [wwn-0x5000c500a1b2c306]
  spares: [wwn-0x5000c500a1b2c307]
"""


def desired_of(text: str, controller: str = "a", pair: bytes = PAIR):
    return compile_desired(load({"pair.yaml": pair, "storage.yaml": text.encode()}), controller)


def storage(desired):
    return [fact for key, fact in desired.facts.items() if key[0] in ("pool", "pool-property", "dataset", "property")]


def test_a_pool_of_which_only_the_disks_are_written_is_no_fact():
    assert storage(desired_of(LAYOUT)) == []


def test_how_a_pool_is_made():
    dataset = "---\napiVersion: hagit/v1\nkind: Dataset\nmetadata: {name: root}\nspec: {dataset: tank, quota: 1T}\n"
    text = LAYOUT + "  create: true\n  properties: {autotrim: on, ashift: 12}\n" + dataset
    desired = desired_of(text, pair=LONE)
    pool = desired.facts["pool", "tank"]
    assert isinstance(pool, Pool) and pool.create and desired.alone
    assert pool.layout == (
        ("", "mirror", "wwn-0x5000c500a1b2c301", "wwn-0x5000c500a1b2c302"),
        ("", "disk", "wwn-0x5000c500a1b2c303"),
        ("", "disk", "wwn-0x5000c500a1b2c304"),
        ("log", "disk", "wwn-0x5000c500a1b2c305"),
        ("cache", "disk", "wwn-0x5000c500a1b2c306"),
        ("spare", "disk", "wwn-0x5000c500a1b2c307"),
    )
    assert pool.options == (("ashift", "12"), ("autotrim", "on"))
    assert pool.root == (("quota", str(1 << 40)), ("devices", "off"), ("setuid", "off"), (STAMP, "root"))
    assert desired.facts["pool-property", "tank", "ashift"] == PoolProperty("tank", "ashift", "12")
    assert desired.origins["pool-property", "tank", "ashift"].line == 12


@pytest.mark.parametrize("controller", ["a", "b"])
def test_datasets_are_the_same_on_both_controllers(controller):
    tree = {"pair.yaml": PAIR, "datasets.yaml": (GOOD / "datasets.yaml").read_bytes()}
    desired = compile_desired(load(tree), controller)
    home = desired.facts["dataset", "tank", "tank/home"]
    assert isinstance(home, Dataset) and home.create
    wanted = {
        "quota": str(3 << 39),
        "refquota": str(1 << 40),
        "reservation": str(100 << 30),
        "refreservation": "0",
        "mountpoint": "/srv/home",
        "compression": "zstd-3",
        "recordsize": str(1 << 20),
        "atime": "off",
        "copies": "2",
        STAMP: "home",
    }
    found = {fact.name: fact.value for fact in storage(desired) if getattr(fact, "dataset", "") == "tank/home"}
    assert found == wanted
    assert dict(home.options) == wanted | {"devices": "off", "setuid": "off"}
    volume = desired.facts["dataset", "tank", "tank/vm1"]
    assert volume == Dataset("tank/vm1", DatasetKind.VOLUME)
    assert desired.facts["property", "tank", "tank/vm1", "volsize"] == Property("tank/vm1", "volsize", str(10 << 30))
    assert desired.facts["dataset", "tank", "tank/home/alice"].create is False
    assert dict(desired.destroy) == {("dataset", "tank", "tank/old"): True}
    assert desired.origins["dataset", "tank", "tank/old"].resource == "Dataset/old"
    assert ("dataset", "tank", "tank/old") not in desired.facts
    assert not desired.alone


def test_a_protected_pool_protects_what_is_in_it():
    text = LAYOUT + "---\napiVersion: hagit/v1\nkind: Dataset\nmetadata: {name: old}\n"
    text += "spec: {dataset: tank/old, destroy: true, protected: false}\n"
    assert desired_of(text).destroy == {("dataset", "tank", "tank/old"): False}
    assert desired_of(text.replace("  log:", "  protected: true\n  log:")).destroy == {
        ("dataset", "tank", "tank/old"): True
    }


@pytest.mark.parametrize(
    ("above", "own", "setuid", "devices"),
    [
        ("{}", "{}", "off", "off"),
        ("{}", '{setuid: "on"}', "on", "off"),
        ('{devices: "on"}', "{}", "off", None),
        ('{devices: "on"}', '{devices: "off"}', "off", "off"),
    ],
)
def test_a_filesystem_is_made_without_setuid_and_devices_unless_it_says_so(above, own, setuid, devices):
    text = LAYOUT
    for name, dataset, properties in (("upper", "tank/a", above), ("lower", "tank/a/b", own)):
        text += f"---\napiVersion: hagit/v1\nkind: Dataset\nmetadata: {{name: {name}}}\n"
        text += f"spec: {{dataset: {dataset}, properties: {properties}}}\n"
    desired = desired_of(text)
    made = dict(desired.facts["dataset", "tank", "tank/a/b"].options)
    assert (made.get("setuid"), made.get("devices")) == (setuid, devices)
    assert ("property", "tank", "tank/a/b", "setuid") not in desired.facts or "setuid" in own
    assert dict(desired.facts["pool", "tank"].root).get("setuid") == "off"
