"""Keys of TSIG: found by name, bound to servers, refused when the file is unfit."""

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.errors import NodeFileError
from reconciler.system.names.tsig_keys import SECRET_BYTES_MIN, read_tsig_key
from reconciler.system.node import Node
from tests.system.names.name_servers import KEY, SERVER, key_text


def node_with(tmp_path: Path, text: str, servers: tuple[str, ...] = (SERVER,)) -> Node:
    file = tmp_path / "key"
    file.write_text(text)
    file.chmod(0o600)
    return Node(tmp_path / "node.toml", "a", tsig=((KEY, file),), tsig_for=((KEY, servers),))


@pytest.mark.parametrize(
    "text",
    [
        key_text(),
        f"# made by hand\n// twice\n/* and\n again */ {key_text()}",
        key_text().replace('"shelf1-update"', "Shelf1-Update.").replace("\n", " "),
        key_text(algorithm="HMAC-SHA512"),
    ],
)
def test_a_key_file_of_tsig_keygen_is_read(tmp_path: Path, text: str) -> None:
    key = read_tsig_key(node_with(tmp_path, text), KEY, SERVER)
    assert (key.name, key.secret) == (KEY, b"a secret of 32 bytes for the tests")
    assert key.algorithm in ("hmac-sha256", "hmac-sha512")
    assert "secret of" not in repr(key)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "shorter than"),
        ("c2VjcmV0IG9mIHRoZSB0ZXN0cw==", "no key file"),
        (key_text() + key_text("second"), "no key file"),
        (key_text().replace("algorithm", "include"), "no key file"),
        ("\xff" * 40, "no key file"),
        (key_text("other"), "holds the key other"),
        (key_text(algorithm="hmac-md5.sig-alg.reg.int"), "the algorithm hmac-md5"),
        (key_text(algorithm="hmac-sha1"), "the algorithm hmac-sha1"),
        (key_text().replace('secret "Y', 'secret "='), "not in Base64"),
        (key_text(secret=b"x" * (SECRET_BYTES_MIN - 1)), "shorter than 16 bytes"),
        ("x" * 5_000, "longer than"),
    ],
)
def test_an_unfit_file_is_refused_without_its_content(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(NodeFileError, match=why) as refused:
        read_tsig_key(node_with(tmp_path, text), KEY, SERVER)
    assert "c2Vjc" not in str(refused.value)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    node = node_with(tmp_path, key_text())
    node.tsig[0][1].chmod(0o644)
    with pytest.raises(NodeFileError, match="others may read"):
        read_tsig_key(node, KEY, SERVER)


def test_a_key_goes_to_the_servers_of_the_node_file_alone(tmp_path: Path) -> None:
    node = node_with(tmp_path, key_text(), ("10.0.0.2", "fd00::2"))
    assert read_tsig_key(node, KEY.upper(), "fd00:0::2").name == KEY
    for other in (node, replace(node, tsig_for=())):
        with pytest.raises(NodeFileError, match=r"not for the server 10\.0\.0\.3") as refused:
            read_tsig_key(other, KEY, "10.0.0.3")
        assert "[tsig.for]" in refused.value.remedy


def test_a_key_that_the_node_file_does_not_name(tmp_path: Path) -> None:
    with pytest.raises(NodeFileError, match="no file for the TSIG key") as refused:
        read_tsig_key(node_with(tmp_path, key_text()), "second.key", SERVER)
    assert '"second.key" = "FILE" to [tsig]' in refused.value.remedy
