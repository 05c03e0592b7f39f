"""Files that other users could change or replace: by their own mode, by a directory above, by a link on the way."""

import os
from pathlib import Path

import pytest

from reconciler.errors import NodeFileError
from reconciler.system.node import load_node
from reconciler.system.ownership import exposed, remedy
from reconciler.system.secret import read_secret

STRANGER = 65534
NODE = 'controller = "a"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "etc" / "hagit"
    made.mkdir(parents=True)
    (made / "node.toml").write_text(NODE)
    (made / "secret").write_text("a secret that is long enough for all\n")
    (made / "secret").chmod(0o600)
    return made


def test_what_only_root_may_change_is_fit(folder: Path) -> None:
    assert exposed(folder / "node.toml") == ""
    assert load_node(folder / "node.toml").controller == "a"
    assert read_secret(folder / "secret").startswith(b"a secret")


def test_a_secret_is_a_regular_file(folder: Path) -> None:
    (folder / "folder").mkdir(mode=0o700)
    os.mkfifo(folder / "pipe", 0o600)
    for name in ("folder", "pipe"):
        with pytest.raises(NodeFileError, match="has to be a regular file"):
            read_secret(folder / name)


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_node_file_that_others_may_write_is_refused(folder: Path, mode: int) -> None:
    file = folder / "node.toml"
    file.chmod(mode)
    with pytest.raises(NodeFileError, match=f"{file} may be changed by others") as refused:
        load_node(file)
    assert f"chmod go-w {file}" in refused.value.remedy


@pytest.mark.parametrize("name", ["node.toml", "secret"])
@pytest.mark.parametrize("above", ["etc", "etc/hagit"])
def test_a_directory_above_that_others_may_write_to(tmp_path: Path, folder: Path, name: str, above: str) -> None:
    (tmp_path / above).chmod(0o775)
    with pytest.raises(NodeFileError, match="may be changed by others"):
        load_node(folder / name) if name == "node.toml" else read_secret(folder / name)
    # Sticky, as /tmp is: the names of root in it are safe.
    (tmp_path / above).chmod(0o1777)
    assert exposed(folder / name) == ""


@pytest.mark.parametrize("what", ["etc/hagit/secret", "etc/hagit", "etc"])
def test_what_belongs_to_another_user(tmp_path: Path, folder: Path, what: str) -> None:
    os.chown(tmp_path / what, STRANGER, -1)
    assert exposed(folder / "secret") == f"{tmp_path / what} belongs to user {STRANGER}"
    assert f"chown root {tmp_path / what}" in remedy(exposed(folder / "secret"))
    with pytest.raises(NodeFileError):
        read_secret(folder / "secret")


def test_the_command_names_the_place_whole(tmp_path: Path) -> None:
    place = tmp_path / "keys of; north"
    place.mkdir()
    (place / "secret").touch()
    place.chmod(0o777)
    assert remedy(exposed(place / "secret")).startswith(f"run: chown root '{place}' && chmod go-w '{place}';")


def test_links_are_followed_one_by_one(tmp_path: Path, folder: Path) -> None:
    """The directory in the middle of a chain of links counts, although neither end lies in it."""
    middle = tmp_path / "middle"
    middle.mkdir()
    (middle / "link").symlink_to("../etc/hagit/secret")
    (tmp_path / "link").symlink_to(middle / "link")
    assert exposed(tmp_path / "link") == ""
    middle.chmod(0o777)
    assert exposed(tmp_path / "link").startswith(f"{middle} may be changed by others")
    middle.chmod(0o755)
    os.chown(middle / "link", STRANGER, -1, follow_symlinks=False)
    assert exposed(tmp_path / "link") == f"{middle / 'link'} is a symbolic link of user {STRANGER}"
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(OSError, match="symbolic links"):
        exposed(tmp_path / "round")
