"""A configuration becomes facts, each with the line that asks for it."""

import json
from dataclasses import asdict

import pytest

from reconciler.core.facts.fact import Address, Mark, Mtu, Power, Route
from reconciler.core.facts.host_setting import Resolver
from reconciler.core.facts.settings import AlertPolicy, Applying, UnsignedPolicy, settings_from_document
from reconciler.core.facts.state import DriftMode, NicMatch
from reconciler.core.facts.virtual_name import DnsUpdate, MulticastName, VirtualName
from reconciler.core.spec import compile_desired, load, settings
from reconciler.core.spec.route import METRIC_DEFAULT
from reconciler.errors import ConfigurationError

TEXT = """\
apiVersion: hagit/v1
kind: Pair
metadata: {name: pair}
spec:
  a: {hostname: storage-a, serial: A1}
  b: {hostname: storage-b}
  virtualHostname: storage
  domain: example.org
  dns: [10.0.0.2, 10.0.0.3]
  gateway: 10.0.0.1
---
apiVersion: hagit/v1
kind: Interface
metadata: {name: storage0}
spec:
  a: {match: {mac: "02:00:00:00:0A:01"}, address: 10.0.0.11/24}
  b:
    match: {path: "pci-0000:03:00.*"}
    addresses:
      - 10.0.0.12/24
      - FD00:0::12/64
  virtual: {address: 10.0.0.10/24, vhid: 20}
  mtu: 9000
  critical: true
  failoverGroup: 3
---
apiVersion: hagit/v1
kind: Route
metadata: {name: backup}
spec:
  destination: 10.9.0.0/16
  gateway: 10.0.0.7
  b: {gateway: 10.0.0.8, metric: 7}
  a: {}
---
apiVersion: hagit/v1
kind: Source
metadata: {name: source}
spec:
  remotes: ["ssh://git@git.example/pair.git", /srv/git/pair.git]
  interval: 2m
  trustedSigners: [admin@example.org]
---
apiVersion: hagit/v1
kind: Alerting
metadata: {name: alerts}
spec:
  alertmanager: ["http://alerts.example:9093"]
  webhooks: [{url: "https://hook.example/x", secretFile: /etc/hagit/hook}]
  notify: [{urlFile: /etc/hagit/mail}]
  drift: {default: heal, kinds: {Pair: warn}, resources: {Interface/storage0: ignore}}
"""


def configuration():
    return load({"pair.yaml": TEXT.encode()})


def test_facts_of_each_controller() -> None:
    a, b = (compile_desired(configuration(), name) for name in "ab")
    assert a.facts[("mtu", "storage0")] == Mtu("storage0", 9000)
    assert a.facts[("power", "storage0")] == Power("storage0", True)
    assert a.facts[("mark", "storage0")] == Mark("storage0", "hagit storage0 CriticalGroup3")
    assert a.facts[("resolver",)] == Resolver(("10.0.0.2", "10.0.0.3"), ("example.org",))
    assert {fact.address for fact in a.facts.values() if isinstance(fact, Address)} == {"10.0.0.11/24"}
    assert {fact.address for fact in b.facts.values() if isinstance(fact, Address)} == {"10.0.0.12/24", "fd00::12/64"}


def test_a_route_names_its_link_and_halves_go_first() -> None:
    a, b = (compile_desired(configuration(), name) for name in "ab")
    default = Route("0.0.0.0/0", "10.0.0.1", "storage0", METRIC_DEFAULT)
    assert [fact for fact in a.facts.values() if isinstance(fact, Route)] == [
        default,
        Route("10.9.0.0/16", "10.0.0.7", "storage0", METRIC_DEFAULT),
    ]
    assert b.facts[("route", "10.9.0.0/16", "7")] == Route("10.9.0.0/16", "10.0.0.8", "storage0", 7)


@pytest.mark.parametrize(
    ("written", "name", "zone"),
    [
        ("virtualHostname: Storage, domain: example.org", "storage.example.org", "example.org"),
        ("virtualHostname: storage.example.org, domain: Example.Org", "storage.example.org", "example.org"),
        ("virtualHostname: storage.lan, domain: example.org", "storage.lan.example.org", "example.org"),
        ("virtualHostname: a.storage.example.org", "a.storage.example.org", "storage.example.org"),
        ("virtualHostname: example.org", "example.org", "example.org"),
    ],
)
def test_the_virtual_host_name_in_dns_and_mdns(written: str, name: str, zone: str) -> None:
    update = f"{{server: 10.0.0.2, port: 5353, zone: {zone}, ttl: 2m, key: shelf1.update}}"
    pair = f"{{a: {{hostname: one}}, {written}, dnsUpdate: {update}, mdns: true}}"
    text = f"apiVersion: hagit/v1\nkind: Pair\nmetadata: {{name: pair}}\nspec: {pair}\n" + TEXT[TEXT.index("---") :]
    configuration = load({"pair.yaml": text.encode()})
    found = settings(configuration)
    addresses = ("10.0.0.10",)
    assert found.virtual_name == VirtualName(
        DnsUpdate("10.0.0.2", zone, name, "shelf1.update", addresses, 120, 5353),
        MulticastName(f"{name.partition('.')[0]}.local", addresses),
    )
    document = json.loads(json.dumps(asdict(found)))
    assert settings_from_document(document) == found
    del document["virtual_name"]
    assert settings_from_document(document).virtual_name == VirtualName(), "an older release wrote it"


def test_matches_and_virtual_addresses() -> None:
    a, b = (compile_desired(configuration(), name) for name in "ab")
    assert a.matches == {"storage0": NicMatch(mac="02:00:00:00:0a:01")}
    assert b.matches == {"storage0": NicMatch(path="pci-0000:03:00.*")}
    assert a.virtual == {"10.0.0.10/24"}


def test_every_fact_has_the_place_that_asks_for_it() -> None:
    lines = TEXT.split("\n")
    desired = compile_desired(configuration(), "b")
    assert set(desired.origins) == set(desired.facts)

    def text_at(key):
        origin = desired.origins[key]
        return origin.resource, lines[origin.line - 1][origin.column - 1 :]

    assert text_at(("address", "storage0", "fd00::12/64")) == ("Interface/storage0", "FD00:0::12/64")
    assert text_at(("mtu", "storage0")) == ("Interface/storage0", "9000")
    assert text_at(("mark", "storage0")) == ("Interface/storage0", "3")
    assert text_at(("link", "storage0")) == ("Interface/storage0", "storage0}")
    assert text_at(("hostname",)) == ("Pair/pair", "storage-b}")
    assert text_at(("route", "0.0.0.0/0", str(METRIC_DEFAULT))) == ("Pair/pair", "10.0.0.1")
    origin = desired.match_origins["storage0"]
    assert lines[origin.line - 1][origin.column - 1 :] == '{path: "pci-0000:03:00.*"}'


def test_drift_policy() -> None:
    drift = compile_desired(configuration(), "a").drift
    assert drift.mode("Interface/storage0") is DriftMode.IGNORE
    assert drift.mode("Pair/pair") is DriftMode.WARN
    assert drift.mode("Route/backup") is DriftMode.HEAL


def test_settings_for_the_agent() -> None:
    found = settings(configuration())
    assert found.pair.hostnames == {"a": "storage-a", "b": "storage-b"}
    assert found.pair.serials == {"a": "A1"}
    assert found.source is not None
    assert found.source.remotes == ("ssh://git@git.example/pair.git", "/srv/git/pair.git")
    assert (found.source.branch, found.source.interval_s) == ("main", 120.0)
    assert (found.source.unsigned, found.source.apply) == (UnsignedPolicy.REFUSE, Applying.AUTOMATIC)
    assert found.alerting.alertmanager == ("http://alerts.example:9093",)
    assert [(hook.url, hook.secret_file) for hook in found.alerting.webhooks] == [
        ("https://hook.example/x", "/etc/hagit/hook")
    ]
    assert found.alerting.notify == ("/etc/hagit/mail",)


def test_without_source_and_alerting_there_are_defaults() -> None:
    found = settings(load({"pair.yaml": TEXT.split("---")[0].replace("  gateway: 10.0.0.1\n", "").encode()}))
    assert found.source is None
    assert found.alerting == AlertPolicy()


def test_a_controller_that_is_not_described_cannot_be_compiled() -> None:
    alone = "apiVersion: hagit/v1\nkind: Pair\nmetadata: {name: p}\nspec: {a: {hostname: x}}\n"
    with pytest.raises(ConfigurationError) as caught:
        compile_desired(load({"pair.yaml": alone.encode()}), "b")
    assert "controller b is not described" in str(caught.value)
