"""The identity on disk: private, whole, and read by neighbouring releases."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.errors import StateError
from reconciler.system.node import Node
from reconciler.system.peer.certificate import certificate_defect, new_credentials
from reconciler.system.peer.identity import identity_path, load_identity, write_identity
from tests.system.peer.identities import two_identities

A, B = two_identities()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "node.toml", "a", tmp_path / "state")


def test_what_is_written_is_read(node: Node) -> None:
    assert load_identity(node) is None
    identity = replace(A, peer_addresses=("fe80::1%eth0",), enrolled_s=5.0, peer_certificates=(B.certificate, b"next"))
    write_identity(node, identity)
    assert load_identity(node) == identity
    assert stat.S_IMODE(identity_path(node).stat().st_mode) == 0o600
    assert stat.S_IMODE(identity_path(node).parent.stat().st_mode) == 0o700
    assert "PRIVATE" not in repr(identity)


def test_fields_of_a_newer_release_are_ignored_and_missing_ones_defaulted(node: Node) -> None:
    write_identity(node, A)
    path = identity_path(node)
    document = json.loads(path.read_bytes())
    del document["peer_addresses"], document["enrolled_s"]
    path.write_text(json.dumps(document | {"later": 1}))
    assert load_identity(node) == A
    path.write_text(json.dumps(document | {"least": 2}))
    with pytest.raises(StateError, match="newer release"):
        load_identity(node)


@pytest.mark.parametrize(
    "change",
    [{"peer_certificates": []}, {"peer_certificates": ["%"]}, {"side": "c"}, {"key": None, "certificate": 5}],
)
def test_a_damaged_identity_is_named_with_what_to_do(node: Node, change: dict[str, object]) -> None:
    write_identity(node, A)
    path = identity_path(node)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change))
    with pytest.raises(StateError, match="damaged") as caught:
        load_identity(node)
    assert caught.value.where == str(path) and "hagit enroll" in caught.value.remedy


def test_the_identity_of_the_other_controller_is_not_ours(node: Node) -> None:
    write_identity(node, B)
    with pytest.raises(StateError, match="identity of controller b"):
        load_identity(node)


def test_a_certificate_is_checked() -> None:
    made = new_credentials("shelf-a")
    assert certificate_defect(made.certificate) == ""
    assert certificate_defect(b"nonsense") == "it is no X.509 certificate"
    damaged = bytearray(made.certificate)
    damaged[-1] ^= 1
    assert certificate_defect(bytes(damaged)) == "its own key has not signed it"
