"""What shares compile to: the same on both controllers, with defaults where no server is written."""

from pathlib import Path
from time import perf_counter

import pytest

from reconciler.core.facts.state import Observed, facts_by_key
from reconciler.core.facts.storage import STAMP, Dataset, Pool, Property
from reconciler.core.shares.shares import (
    Chap,
    ExportAccess,
    Initiator,
    IscsiServer,
    IscsiTarget,
    Lun,
    NfsClients,
    NfsExport,
    NfsServer,
    Shares,
    Squash,
)
from reconciler.core.spec import Configuration, compile_desired, load
from reconciler.core.spec.limits import CLIENTS_MAX, SHARE_ENTRIES_MAX, SHARES_MAX
from reconciler.core.spec.pool_capture import captured_pools
from reconciler.core.spec.shares import shares_of
from reconciler.errors import ConfigurationError

ROOT = Path(__file__).parents[3]
EVERYTHING = {path.name: path.read_bytes() for path in (ROOT / "examples" / "everything").glob("*.yaml")}
#: A pair with one pool, and no NfsServer or IscsiServer.
BASE = """\
apiVersion: hagit/v1
kind: Pair
metadata: {name: shelf1}
spec: {a: {hostname: shelf1-a}, b: {hostname: shelf1-b}, virtualHostname: shelf1}
---
apiVersion: hagit/v1
kind: Interface
metadata: {name: clients}
spec:
  a: {match: {name: eth0}, addresses: [10.0.0.11/24, "fd00:10::11/64"]}
  b: {match: {name: eth0}, addresses: [10.0.0.12/24, "fd00:10::12/64"]}
  virtual: {addresses: [10.0.0.10/24, "fd00:10::10/64"], vhid: 20}
---
apiVersion: hagit/v1
kind: Interface
metadata: {name: office}
spec:
  a: {match: {name: eth1}, address: 10.1.0.11/24}
  b: {match: {name: eth1}, address: 10.1.0.12/24}
  virtual: {address: 10.1.0.10/24, vhid: 21}
---
apiVersion: hagit/v1
kind: Pool
metadata: {name: tank}
spec: {vdevs: [{type: disk, disks: [wwn-0x5000c500a1b2c301]}]}
---
apiVersion: hagit/v1
kind: Dataset
metadata: {name: home}
spec: {dataset: tank/home, mountpoint: /srv/home}
---
apiVersion: hagit/v1
kind: Dataset
metadata: {name: vm1}
spec: {dataset: tank/vm1, type: volume, size: 10G, properties: {sync: always}}
"""
EXPORT = """\
---
apiVersion: hagit/v1
kind: NfsExport
metadata: {{name: {name}}}
spec: {{dataset: home, path: {name}, clients: [{clients}]}}
"""
TARGET = """\
---
apiVersion: hagit/v1
kind: IscsiTarget
metadata: {name: vm}
spec:
  iqn: iqn.2026-01.org.example:vm
  luns: [{lun: 7, dataset: vm1}]
  initiators: [{iqn: "iqn.1993-08.org.debian:01:h1"}]
"""


def configuration(*parts: str) -> Configuration:
    return load({f"{place:04}.yaml": part.encode() for place, part in enumerate((BASE, *parts))})


def export(name: str = "projects", clients: str = '{hosts: "*"}') -> str:
    return EXPORT.format(name=name, clients=clients)


def test_everything_that_is_written_reaches_the_servers() -> None:
    hypervisor1 = Initiator(
        "iqn.1993-08.org.debian:01:hypervisor1",
        Chap("hypervisor1", "hypervisor1"),
        Chap("vm", "hypervisor1-mutual"),
    )
    assert shares_of(load(EVERYTHING)) == Shares(
        pair="shelf3",
        hostname="shelf3",
        state="ultra/hagit-state",
        nfs=NfsServer(("10.0.0.10", "fd00:10::10", "10.20.0.10"), ("4.1", "4.2"), 32, 15, 15),
        exports=(
            NfsExport(
                "home",
                "tank/home",
                (
                    NfsClients("10.0.0.0/24"),
                    NfsClients("fd00:10::/64", ExportAccess.READ_ONLY, Squash.ALL, ("sys",), 3_000, 3_000),
                    NfsClients("backup.example.org", squash=Squash.NONE),
                ),
            ),
            NfsExport("manuals", "tank/archive", (NfsClients("*", ExportAccess.READ_ONLY),), "public/manuals"),
        ),
        iscsi=IscsiServer(3_260, 5, 10),
        targets=(
            IscsiTarget(
                "vm",
                "iqn.2026-01.org.example:vm",
                ("10.20.0.10",),
                (Lun(0, "ultra/vm1"),),
                (hypervisor1, Initiator("iqn.1993-08.org.debian:01:hypervisor2")),
            ),
        ),
    )


def test_shares_work_without_the_kinds_of_their_servers() -> None:
    shares = shares_of(configuration(export(), TARGET))
    everywhere = ("10.0.0.10", "fd00:10::10", "10.1.0.10")
    assert shares.nfs == NfsServer(everywhere) and shares.iscsi == IscsiServer()
    assert shares.state == "tank/hagit-state" and shares.hostname == "shelf1"
    assert shares.targets[0].addresses == everywhere and shares.targets[0].luns == (Lun(7, "tank/vm1"),)
    assert shares_of(configuration(export())).iscsi is None
    assert shares_of(configuration(TARGET)).nfs is None
    assert shares_of(configuration()) == Shares("shelf1", "shelf1")


@pytest.mark.parametrize("controller", ["a", "b"])
def test_the_state_dataset_is_made_like_every_dataset(controller: str) -> None:
    assert ("dataset", "tank", "tank/hagit-state") not in compile_desired(configuration(), controller).facts
    desired = compile_desired(configuration(TARGET), controller)
    state = desired.facts["dataset", "tank", "tank/hagit-state"]
    assert isinstance(state, Dataset) and state.create
    wanted = {"mountpoint": "/var/lib/hagit/pool-state", "sync": "always", "canmount": "on", "recordsize": "16384"}
    assert wanted.items() <= dict(state.options).items() and dict(state.options)[STAMP] == "hagit-state"
    for name, value in state.options:
        key = ("property", "tank", "tank/hagit-state", name)
        assert desired.facts[key] == Property("tank/hagit-state", name, value)
    assert desired.origins[state.key].resource == "IscsiTarget/vm"


def test_a_pool_that_only_keeps_the_state_is_looked_at() -> None:
    pool = "---\napiVersion: hagit/v1\nkind: Pool\nmetadata: {name: fast}\n"
    pool += "spec: {vdevs: [{type: disk, disks: [wwn-0x5000c500a1b2c302]}]}\n"
    server = "---\napiVersion: hagit/v1\nkind: NfsServer\nmetadata: {name: nfs}\nspec: {pool: fast}\n"
    desired = compile_desired(configuration(export(), pool, server), "a")
    assert desired.facts["pool", "fast"] == Pool("fast")
    assert ("dataset", "fast", "fast/hagit-state") in desired.facts
    assert ("dataset", "tank", "tank/hagit-state") not in desired.facts


def test_the_state_dataset_is_not_captured() -> None:
    state = Property("tank/hagit-state", "mountpoint", "/var/lib/hagit/pool-state")
    facts = [Pool("tank"), Dataset("tank/home"), Dataset("tank/hagit-state"), state, Dataset("tank/a/hagit-state")]
    captured = captured_pools(Observed(facts_by_key(facts)))
    assert [spec["dataset"] for kind, _, spec in captured if kind == "Dataset"] == ["tank/a/hagit-state", "tank/home"]


def test_too_many_shares_or_clients_are_refused_and_the_most_are_read_in_time() -> None:
    began_s = perf_counter()
    most = [export(f"e{number}") for number in range(SHARES_MAX)]
    configuration("".join(most))
    assert perf_counter() - began_s < 60
    with pytest.raises(ConfigurationError, match=r"4,097 exports and targets; 4,096 are the limit"):
        configuration("".join(most), TARGET)
    clients = ", ".join(f"{{hosts: c{number}}}" for number in range(CLIENTS_MAX))
    full = [export(f"e{number}", clients) for number in range(SHARE_ENTRIES_MAX // CLIENTS_MAX)]
    configuration("".join(full))
    with pytest.raises(ConfigurationError, match=r"16,385 clients, initiators and LUNs"):
        configuration("".join(full), export("last"))
