"""How the comparison reads the output of Pacemaker and corosync, and how it configures them."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from tests.lab.benchmarks.pacemaker import MARKS, moments, seen
from tests.lab.benchmarks.pacemaker_files import ADDRESS, FENCING, POOL, Node, configuration, corosync_conf, scsi_key

NODES = [Node("left", ("10.79.1.11", "10.79.0.11")), Node("right", ("10.79.1.12", "10.79.0.12"))]
SAID = """<pacemaker-result api-version="2.25" request="crm_mon --output-as=xml">
  <summary><current_dc present="true" version="2.1.5" name="right" id="2" with_quorum="true"/></summary>
  <nodes>
    <node name="left" id="1" online="{online}" standby="false" pending="{pending}" unclean="false"/>
    <node name="right" id="2" online="true" standby="false" pending="false" unclean="false"/>
  </nodes>
  <resources>
    <resource id="fencing" resource_agent="stonith:fence_scsi" role="Started" active="true" failed="false">
      <node name="left" id="1" cached="true"/>
    </resource>
    <group id="service" number_resources="2">
      <resource id="pool" resource_agent="ocf:heartbeat:ZFS" role="Started" active="true" failed="{failed}">
        <node name="right" id="2" cached="true"/>
      </resource>
      <resource id="address" resource_agent="ocf:heartbeat:IPaddr2" role="Stopped" active="false" failed="false"/>
    </group>
  </resources>
  <status code="0" message="OK"/>
</pacemaker-result>"""


#: Two failovers, as the survivor of the second logs them; lines of other kinds between.
LOG = """\
Nov 22 07:00:00.100 [310] right corosync notice  [TOTEM ] A new membership (1.5) was formed. Members joined: 1
Nov 22 07:00:09.900 right pacemaker-controld  [9] (log_executor_event) notice: Result of start operation for pool on right: ok | CIB
Nov 22 07:11:00.500 [310] right corosync notice  [TOTEM ] A processor failed, forming new configuration: token timed out (1000ms)
Nov 22 07:11:01.750 [310] right corosync notice  [TOTEM ] A new membership (2.9) was formed. Members left: 1
Nov 22 07:11:02.000 right pacemaker-fenced    [325] (initiate_remote_stonith_op) notice: Requesting peer fencing (reboot) targeting left
Nov 22 07:11:04.250 right pacemaker-fenced    [325] (finalize_op) notice: Operation 'reboot' targeting left by right for pacemaker-controld.329@right: OK (complete)
Nov 22 07:11:07.000 right pacemaker-controld  [329] (log_executor_event) notice: Result of start operation for pool on right: ok | CIB
Nov 22 07:11:07.500 right pacemaker-controld  [329] (log_executor_event) notice: Result of monitor operation for pool on right: ok
Nov 22 07:11:08.125 right pacemaker-controld  [329] (log_executor_event) notice: Result of start operation for address on right: ok
Nov 22 07:11:09  IPaddr2(address)[809]: INFO: something else
"""  # noqa: E501


def test_the_parts_of_the_last_failover_in_the_logs() -> None:
    zero_s = datetime(2026, 11, 22, 7, 11, tzinfo=UTC).timestamp()
    found = moments(LOG, 2026)
    assert {name: round(found[name] - zero_s, 3) for name in MARKS} == {
        "token": 0.5, "membership": 1.75, "asked": 2.0, "fenced": 4.25, "pool": 7.0, "address": 8.125,
    }  # fmt: skip


def test_a_failover_that_is_not_over_lacks_its_last_parts() -> None:
    assert "address" not in moments(LOG.replace("start operation for address", "start of address"), 2026)


def test_members_and_what_runs_where() -> None:
    found = seen(SAID.format(online="true", pending="false", failed="false"))
    assert (found.dc, found.online, found.failures) == ("right", {"left", "right"}, ())
    assert found.running == {FENCING: "left", POOL: "right"}


@pytest.mark.parametrize(("online", "pending"), [("false", "false"), ("true", "true")])
def test_who_is_off_or_still_joins_is_no_member(online: str, pending: str) -> None:
    assert seen(SAID.format(online=online, pending=pending, failed="false")).online == {"right"}


def test_what_failed_does_not_run() -> None:
    assert POOL not in seen(SAID.format(online="true", pending="false", failed="true")).running


def test_each_resource_is_configured_once_and_every_disk_is_fenced_and_imported_from() -> None:
    disks = ["/dev/disk/by-id/disk0", "/dev/disk/by-id/disk1"]
    root = ElementTree.fromstring(configuration(NODES, disks, "10.79.0.100/24", "eth0", "/run/sg_persist"))
    assert [resource.get("id") for resource in root.iter("primitive")] == [FENCING, POOL, ADDRESS]
    values = {pair.get("name"): pair.get("value") for pair in root.iter("nvpair")}
    assert values["devices"] == ",".join(disks) and values["sg_persist_path"] == "/run/sg_persist"
    assert values["importargs"] == " ".join(f"-d {disk}-part1" for disk in disks)
    assert (values["ip"], values["cidr_netmask"], values["provides"]) == ("10.79.0.100", "24", "unfencing")
    names = [element.get("id") for element in root.iter() if element.get("id") and element.tag != "node"]
    assert len(names) == len(set(names))


def test_every_node_has_its_addresses() -> None:
    text = corosync_conf(NODES, 1_000)
    assert "  token: 1000\n" in text and text.count("nodeid:") == 2
    assert all(f"_addr: {address}\n" in text for node in NODES for address in node.addresses)


def test_keys_of_nodes_differ_and_fit_into_64_bits() -> None:
    assert 0 < scsi_key("left") != scsi_key("right") < 1 << 64
