"""The JSON Schema is that of the models, and `explain` has a page for everything in it."""

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from reconciler.core.spec import load
from reconciler.core.spec.explanation import explain
from reconciler.core.spec.kinds import KINDS
from reconciler.core.spec.schema import json_schema
from reconciler.core.spec.tree import documents
from reconciler.core.spec.yaml_text import yaml_text
from reconciler.errors import UsageError

ROOT = Path(__file__).parents[3]
SCHEMA = json_schema()


def test_the_file_is_up_to_date() -> None:
    text = json.dumps(SCHEMA, indent=2) + "\n"
    assert (ROOT / "schema" / "hagit.schema.json").read_text() == text, "run `make schema`"


def test_it_is_a_schema_that_editors_read() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    text = json.dumps(SCHEMA)
    assert "prefixItems" not in text
    assert '"null"' not in text


def test_every_key_is_described() -> None:
    for name, definition in SCHEMA["definitions"].items():
        for key, value in definition.get("properties", {}).items():
            assert len(value.get("description", "")) > 10, f"{name}.{key}"


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "tests/core/spec/good").glob("*.yaml")) + sorted((ROOT / "examples").rglob("*.yaml")),
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_what_is_good_fits_the_schema(path: Path) -> None:
    for document in documents(path.name, path.read_text()):
        jsonschema.Draft7Validator(SCHEMA).validate(document.value)


@pytest.mark.parametrize(
    "name", ["unknown-key", "missing-key", "address-without-prefix", "mac", "match", "unknown-kind"]
)
def test_what_is_bad_in_itself_does_not(name: str) -> None:
    text = (ROOT / "tests/core/spec/bad" / f"{name}.yaml").read_text()
    first = next(iter(documents(name, text)))
    assert not jsonschema.Draft7Validator(SCHEMA).is_valid(first.value)


def test_the_examples_of_all_kinds_make_one_configuration() -> None:
    tree = {
        f"{kind}.yaml": yaml_text(example).encode()
        for kind in KINDS
        for example in SCHEMA["definitions"][kind]["examples"]
    }
    assert len(tree) == len(KINDS)
    # Failover asks for a second way in which the controllers hear each other, and a target for a volume.
    tree["interlink.yaml"] = b"""\
apiVersion: hagit/v1
kind: Interface
metadata: {name: interlink}
spec:
  role: interlink
  a: {match: {name: eth1}, address: 169.254.10.1/24}
  b: {match: {name: eth1}, address: 169.254.10.2/24}
---
apiVersion: hagit/v1
kind: Dataset
metadata: {name: vm1}
spec: {dataset: tank/vm1, type: volume, size: 40G, properties: {sync: always}}
"""
    configuration = load(tree)
    assert configuration.failover is not None
    assert configuration.source is not None
    assert configuration.alerting is not None


def test_explain_lists_the_kinds() -> None:
    assert all(kind in explain("") for kind in KINDS)


def test_explain_shows_type_default_and_example() -> None:
    page = explain("interface.mtu")
    assert "Interface.mtu (whole number, 68 to 65536; optional)" in page
    assert "mtu: 9000" in page
    assert "default refuse" in explain("source.unsigned")
    assert "required" in explain("interface.virtual.vhid")
    assert "balance-rr | active-backup" in explain("interface.bond.mode")


@pytest.mark.parametrize("path", ["Interface.A.Match.MAC", "interface.spec.a.match.mac", "interface/a/match/mac"])
def test_explain_is_lenient_about_the_path(path: str) -> None:
    assert explain(path).startswith("Interface.a.match.mac ")


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("interfase", "Interface"),
        ("interface.mtuu", "mtu"),
        ("interface.bond.moed", "mode"),
        ("pair.a.hostnam", "hostname"),
    ],
)
def test_explain_suggests_the_nearest_name(path: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        explain(path)
    assert caught.value.remedy == f"Did you mean `{nearest}`?"


def test_explain_has_a_page_for_every_key() -> None:
    def walk(prefix: str, node: dict) -> None:
        for key, inner in node.get("properties", {}).items():
            assert explain(f"{prefix}.{key}").startswith(f"{prefix}.{key} (")
            target = inner.get("$ref") or next((part["$ref"] for part in inner.get("allOf", [])), None)
            target = target or inner.get("items", {}).get("$ref")
            if target:
                walk(f"{prefix}.{key}", SCHEMA["definitions"][target.rpartition("/")[2]])

    for kind in KINDS:
        walk(kind, SCHEMA["definitions"][f"{kind}Spec"])


#: Values as people write them, good and bad, for keys of several forms.
ADDRESSES = (
    "10.0.0.11/24", "fd00::11/64", "10.0.0.1/255.255.255.0", "10.0.0.1/024", "010.0.0.1/24", "10.0.1/24", "10.0.0.1",
    "0xa000001/24", "10.0.0.1 /24", "１０.0.0.1/24", "10.0.0.٣/24", "fe80::1%eth1/64", "FD00:0:0::0011/64",
    "10.0.0.1/0",
    "192.0.2.1/30/2", "64:ff9b::192.0.2.1/96", "", "/24", "10.0.0.1/", "10.0.0.1/33", "fd00::1/129", "10.0.0.1/-1",
)  # fmt: skip
HOSTS = (
    "10.0.0.1", "fd00::1", "fe80::1%eth0", "fe80::1%a b", "10.0.0.1%eth0", "fe80::1%", "10.0.0.1/24", "10.0.0.٣", "",
    "fe80::1%lo", "host.example",
)  # fmt: skip
NAMES = (
    "eth0", "lo", "all", "default", "bonding_masters", ".", "..", "a..b", "a/b", "a:b", "-x", "x-", "a b", "ünï", "０",
    "abcdefghijklmno", "abcdefghijklmnop", "x%d", "sit0", "",
)  # fmt: skip
NETWORKS = (
    "10.1.0.0/16",
    "::/0",
    "0.0.0.0/0",
    "10.1.0.0/255.255.0.0",
    "default",
    "10.1.0.1/16",
    "10.1.0.0",
    "10.1.0.0/016",
)
URLS = (
    "http://a.example",
    "https://a.example:9093/x",
    "ftp://x",
    "http://u:p@h/",
    "http://h/\x1b",
    "http://-h/",
    "http://",
)
CLIENTS = (
    "*", "10.0.0.7", "10.0.0.0/24", "10.0.0.1/24", "fd00:10::/64", "fd00:10::7", "ws1", "ws1.example.org", "WS1",
    "@lab",
    "*.example.org", "a b", "a;b", "$(x)", "10.0.0.0/255.255.255.0", "224.0.0.1", "fe80::1%e0", "10.0.0", "-x", "",
    "ünï",
    "x" * 64, "x" * 65, "a..b", "a/b",
)  # fmt: skip
PATHS = (
    "a",
    "a/b",
    "/",
    "/a",
    "../a",
    "a/..",
    "a//b",
    "a/",
    "ünï",
    "a b",
    "a\tb",
    "-a",
    ".a",
    ".",
    "x" * 255,
    "x" * 256,
    "",
)
ISCSI_NAMES = (
    "iqn.2026-01.org.example", "iqn.2026-01.org.example:a:b.c-d", "iqn.2026-01.org.example:A",
    "iqn.2026-13.org.example:a",
    "iqn.2026-01.org.example:", "iqn.2026-01.-x:a", "eui.0123456789abcdef", "eui.0123456789abcde", "naa." + "0" * 32,
    "naa." + "0" * 24, "iqn.2026-01.org.example:a b", "iqn.2026-01.org.example:" + "a" * 200, "",
)  # fmt: skip
NFS_VERSIONS = ("3", "4", "4.0", "4.1", "4.2", "'4.2'", "4.20", "'3'", "true")
DURATIONS = ("60s", "0s", "1.5s", "5 m", "5m", "1d", "60", "٣s")
NUMBERS = ("1500", "9000", "67", "65537", "1500.0", "1.5e3", "true", "'1500'", "-1", "1_500", "0x5dc")
FILES = ("/etc/hagit/x", "etc/x", "/etc/../x", "/etc/a\x7f", "/proc/1/environ", "/")


def trees() -> list[tuple[str, str]]:
    """A document for each value: what it is about, and its text."""

    def face(half: str, more: str = "") -> str:
        return f"apiVersion: hagit/v1\nkind: Interface\nmetadata: {{name: x}}\nspec: {{a: {{{half}}}{more}}}\n"

    def kind(name: str, spec: str) -> str:
        return f"apiVersion: hagit/v1\nkind: {name}\nmetadata: {{name: x}}\nspec: {{{spec}}}\n"

    made = [("address", face(f"match: {{name: e0}}, address: {json.dumps(value)}")) for value in ADDRESSES]
    made += [("match", face(f"match: {{name: {json.dumps(value)}}}")) for value in NAMES]
    made += [("mtu", face("match: {name: e0}", f", mtu: {value}")) for value in NUMBERS]
    made += [("dns", kind("Pair", f"a: {{hostname: a}}, dns: [{json.dumps(value)}]")) for value in HOSTS]
    made += [("gateway", kind("Pair", f"a: {{hostname: a}}, gateway: {json.dumps(value)}")) for value in HOSTS]
    made += [
        ("destination", kind("Route", f"destination: {json.dumps(value)}, gateway: 10.0.0.1")) for value in NETWORKS
    ]
    made += [("url", kind("Alerting", f"alertmanager: [{json.dumps(value)}]")) for value in URLS]
    made += [("file", kind("Alerting", f"notify: [{{urlFile: {json.dumps(value)}}}]")) for value in FILES]
    made += [("interval", kind("Source", f"remotes: [/srv/x], interval: {json.dumps(value)}")) for value in DURATIONS]
    made += [
        ("hosts", kind("NfsExport", f"dataset: d, clients: [{{hosts: {json.dumps(value)}}}]")) for value in CLIENTS
    ]
    made += [
        ("path", kind("NfsExport", f"dataset: d, path: {json.dumps(value)}, clients: [{{hosts: a}}]"))
        for value in PATHS
    ]
    made += [
        ("iqn", kind("IscsiTarget", f"iqn: {name}, luns: [{{lun: 0, dataset: d}}], initiators: [{{iqn: {name}}}]"))
        for name in map(json.dumps, ISCSI_NAMES)
    ]
    made += [("versions", kind("NfsServer", f"versions: [{value}]")) for value in NFS_VERSIONS]
    return made


@pytest.mark.parametrize(("key", "text"), trees())
def test_what_validate_takes_fits_the_schema(key: str, text: str) -> None:
    """The other way round an editor may let pass what only all resources together, or arithmetic, show."""
    document = next(iter(documents(f"{key}.yaml", text)))
    try:
        KINDS[document.value["kind"]].document.model_validate(document.value)
    except ValidationError:
        return
    jsonschema.Draft7Validator(SCHEMA).validate(document.value)
