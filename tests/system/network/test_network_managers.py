"""Other network managers are told from the files they leave."""

from __future__ import annotations

from pathlib import Path

from reconciler.system import network_managers
from tests.system.network.conformance import live_network
from tests.system.network.namespaces import in_namespace

INDICES = {"eth0": 2, "eth1": 3, "eth2": 4, "bond0": 5}


def claims(root: Path) -> dict[str, tuple[str, ...]]:
    return network_managers.claims(root, INDICES, root / "etc/resolv.conf")


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_machine_without_any(tmp_path: Path) -> None:
    assert claims(tmp_path) == {}


def test_systemd_networkd_claims_what_it_configures(tmp_path: Path) -> None:
    links = tmp_path / "run/systemd/netif/links"
    write(links / "2", "# This is private data.\nADMIN_STATE=configured\nOPER_STATE=routable\n")
    write(links / "3", "ADMIN_STATE=unmanaged\nOPER_STATE=carrier\n")
    write(links / "4", "ADMIN_STATE=configuring\nNETWORK_FILE=/run/systemd/network/10-netplan-lan.network\n")
    write(links / "77", "ADMIN_STATE=configured\n")
    assert claims(tmp_path) == {"eth0": ("systemd-networkd",), "eth2": ("systemd-networkd", "netplan")}


def test_network_manager_claims_what_it_manages(tmp_path: Path) -> None:
    devices = tmp_path / "run/NetworkManager/devices"
    write(devices / "2", "[device]\nmanaged=true\nconnection-uuid=x\n")
    write(devices / "3", "[device]\nmanaged=false\n")
    assert claims(tmp_path) == {"eth0": ("NetworkManager",)}


def test_ifupdown_claims_its_stanzas_and_what_it_includes(tmp_path: Path) -> None:
    main = "auto lo eth0\niface lo inet loopback\niface eth0 inet dhcp\n# iface eth1 inet dhcp\n"
    write(tmp_path / "etc/network/interfaces", main + "source /etc/network/interfaces.d/*.cfg\nsource interfaces\n")
    write(tmp_path / "etc/network/interfaces.d/bond.cfg", "iface bond0 inet static\n  address 10.0.0.1/24\n")
    write(tmp_path / "etc/network/interfaces.d/other", "iface eth2 inet dhcp\n")
    assert claims(tmp_path) == {"bond0": ("ifupdown",), "eth0": ("ifupdown",)}


def test_netplan_claims_names_and_given_names(tmp_path: Path) -> None:
    text = """
# eth2: not this one
network:
  version: 2
  renderer: networkd
  ethernets:
    eth0:
      dhcp4: true
    lan:
      match: {macaddress: "02:00:00:00:00:01"}
      set-name: eth1
  bonds:
    bond0:
      interfaces: [eth0, eth1]
  eth2: {}
"""
    write(tmp_path / "etc/netplan/50-cloud-init.yaml", text)
    write(tmp_path / "etc/netplan/notes.txt", "network:\n  ethernets:\n    eth2: {}\n")
    assert claims(tmp_path) == {"bond0": ("netplan",), "eth0": ("netplan",), "eth1": ("netplan",)}


def test_who_writes_the_resolver(tmp_path: Path) -> None:
    file = tmp_path / "etc/resolv.conf"
    file.parent.mkdir()
    file.symlink_to("../run/systemd/resolve/stub-resolv.conf")
    assert claims(tmp_path) == {str(file): ("systemd-resolved",)}


def test_files_that_make_no_sense_claim_nothing(tmp_path: Path) -> None:
    write(tmp_path / "run/systemd/netif/links/2", "\x00\x01")
    (tmp_path / "run/systemd/netif/links/3").mkdir()
    (tmp_path / "etc/netplan").mkdir(parents=True)
    (tmp_path / "etc/netplan/x.yaml").write_bytes(b"\xff\xfe: [[[[")
    write(tmp_path / "etc/network/interfaces", "iface\nsource\nsource /\n")
    assert claims(tmp_path) == {}


def test_the_look_names_them_by_link(tmp_path: Path) -> None:
    def tell() -> None:
        with live_network() as network:
            write(network._root / "etc/network/interfaces", "iface e0 inet dhcp\niface lo inet loopback\n")
            assert dict(network.observe().managers) == {"e0": ("ifupdown",)}

    in_namespace(tell)


def test_daemons_of_the_machine_count_the_links_of_its_own_namespace() -> None:
    root = Path("/")
    assert not in_namespace(lambda: network_managers._shares_network_with_managers(root))
