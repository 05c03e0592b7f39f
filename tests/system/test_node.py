"""The node file: read whole, every wrong key named."""

from pathlib import Path

import pytest

from reconciler.errors import NodeFileError
from reconciler.system.node import Listen, find_node_file, load_node, render_node


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(text)
    return path


def test_everything_has_a_default_but_the_controller(tmp_path: Path) -> None:
    node = load_node(write(tmp_path, 'controller = "a"\n'))
    assert node.controller == "a"
    assert node.state == Path("/var/lib/hagit")
    assert node.source.branch == "main" and node.source.remotes == ()
    assert node.trust.unsigned == "accept"
    assert node.listen == Listen("127.0.0.1", 9723)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = """
controller = "b"
state = "state-b"
listen = false
[source]
remotes = ["/srv/pair.git", "ssh://git@host/pair.git"]
known_hosts = "known_hosts"
[trust]
allowed_signers = "signers"
[files]
hostname = "etc/hostname"
"""
    node = load_node(write(tmp_path, text))
    assert node.state == tmp_path / "state-b"
    assert node.source.known_hosts == tmp_path / "known_hosts"
    assert node.source.remotes == ("/srv/pair.git", "ssh://git@host/pair.git")
    assert node.trust.allowed_signers == tmp_path / "signers"
    assert node.trust.unsigned == "refuse", "whoever names signers wants signatures"
    assert node.hostname_file == tmp_path / "etc/hostname"
    assert node.listen is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "`controller` is missing"),
        ('controller = "c"', "`controller` has a value that does not fit: 'c'"),
        ('controller = "a"\nstaet = "x"', "`staet` is not known here"),
        ('controller = "a"\n[source]\nremote = "x"', "`source.remote` is not known here"),
        ('controller = "a"\n[source]\nremotes = "x"', "`remotes` has a value that does not fit"),
        ('controller = "a"\n[trust]\nunsigned = "refuse"', "no allowed_signers and no keyring"),
        ('controller = "a"\n[listen]\nport = 70000', "`port` has a value that does not fit: 70000"),
        ('controller = "a"\nsource = 1', "`source` must be a table"),
        ("controller = ", "not TOML"),
        ("\xff", "not TOML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "node.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(NodeFileError) as caught:
        load_node(path)
    assert says in str(caught.value) and str(path) in str(caught.value)


def test_a_missing_file_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(NodeFileError, match="there is no node file here") as caught:
        load_node(tmp_path / "none.toml")
    assert "hagit init" in caught.value.remedy


def test_what_is_rendered_can_be_read(tmp_path: Path) -> None:
    text = render_node(
        {
            "controller": "a",
            "state": 'st\\a"te',
            "source": {"remotes": ["/x y", "/z"], "branch": "trunk"},
            "listen": {"port": 0},
        }
    )
    node = load_node(write(tmp_path, text))
    assert node.source.remotes == ("/x y", "/z") and node.source.branch == "trunk"
    assert node.state == tmp_path / 'st\\a"te'
    assert node.listen == Listen("127.0.0.1", 0)


def test_the_file_is_found_by_flag_environment_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HAGIT_NODE", raising=False)
    assert find_node_file(None) == Path("/etc/hagit/node.toml")
    monkeypatch.setenv("HAGIT_NODE", "/x.toml")
    assert find_node_file(None) == Path("/x.toml")
    assert find_node_file(Path("/y.toml")) == Path("/y.toml")
