"""Hostname and resolver: two places that have to agree, and a file that belongs to others as well."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from reconciler.core.facts.host_setting import Hostname, Resolver
from reconciler.core.facts.ownership import Owner
from reconciler.core.facts.state import Unknown
from reconciler.errors import PerformError
from reconciler.system import hostname, resolver
from tests.system.network.conformance import live_network
from tests.system.network.namespaces import in_namespace

ONE, TWO = Resolver(("10.0.0.53",)), Resolver(("fd00::53", "10.0.0.53"), ("example.org", "example.net"))


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("scenario\n", "scenario"),
        ("scenario", "scenario"),
        ("# a comment\n\nscenario\n", "scenario"),
        ("other\n", "scenario/other"),
        ("", "scenario/"),
        (None, "scenario/"),
    ],
)
def test_kernel_and_file_make_one_name(tmp_path: Path, content: str | None, name: str) -> None:
    file = tmp_path / "hostname"
    if content is not None:
        file.write_text(content)
    assert in_namespace(lambda: hostname.read(file)) == Hostname(name)


def test_a_hostname_file_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    for content in (b"\xff\xfe", b"x" * 100_000):
        (tmp_path / "hostname").write_bytes(content)
        assert isinstance(hostname.read(tmp_path / "hostname"), Unknown)
    assert isinstance(hostname.read(tmp_path), Unknown)


@pytest.mark.parametrize("name", ["scenario", "other", "kernel/file", "kernel/"])
def test_whatever_was_read_can_be_written_back(tmp_path: Path, name: str) -> None:
    file = tmp_path / "hostname"

    def tell() -> Hostname | Unknown:
        hostname.write(file, Hostname("between"))
        assert (socket.gethostname(), file.read_text()) == ("between", "between\n")
        hostname.write(file, Hostname(name))
        return hostname.read(file)

    assert in_namespace(tell) == Hostname(name)


def test_the_kernel_keeps_its_name_when_the_file_cannot_be_written(tmp_path: Path) -> None:
    def tell() -> str:
        with pytest.raises(PerformError, match="No such file or directory"):
            hostname.write(tmp_path / "missing" / "hostname", Hostname("other"))
        return socket.gethostname()

    assert in_namespace(tell) == "scenario"


def test_a_name_the_kernel_refuses(tmp_path: Path) -> None:
    with pytest.raises(PerformError, match="refused the hostname"):
        in_namespace(lambda: hostname.write(tmp_path / "hostname", Hostname("x" * 65)))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_a_mount_is_written_in_place(tmp_path: Path) -> None:
    file, source = tmp_path / "resolv.conf", tmp_path / "source"
    file.touch()
    source.write_text("options edns0\n")
    subprocess.run(["mount", "--bind", source, file], check=True)
    try:
        resolver.write(file, ONE)
        assert resolver.read(file) == ONE
        assert "options edns0\n" in source.read_text()
    finally:
        subprocess.run(["umount", file], check=True)
    assert file.read_text() == ""


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("nameserver 10.0.0.53\n", ONE),
        ("nameserver FD00::0053\nnameserver 10.0.0.53\nsearch example.org example.net\n", TWO),
        ("domain one\nsearch two three\n", Resolver((), ("two", "three"))),
        ("search two three\ndomain one\n", Resolver((), ("one",))),
        ("nameserver fe80::1%eth0\n", Resolver(("fe80::1%eth0",))),
        ("nameserver\t10.0.0.53 # the old one\n", ONE),
        ("# nameserver 10.0.0.1\n; nameserver 10.0.0.2\n nameserver 10.0.0.3\noptions edns0\n", None),
        ("nameserver\n", None),
        ("", None),
    ],
)
def test_the_file_is_read_as_the_manual_says(tmp_path: Path, content: str, expected: Resolver | None) -> None:
    (tmp_path / "resolv.conf").write_text(content)
    assert resolver.read(tmp_path / "resolv.conf") == expected


def test_what_others_wrote_stays(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_bytes(b"# by hand \xff\nnameserver 10.0.0.1\noptions edns0 rotate\nsortlist 10.0.0.0\n")
    resolver.write(file, TWO)
    assert resolver.read(file) == TWO
    assert file.read_bytes().endswith(b"# by hand \xff\noptions edns0 rotate\nsortlist 10.0.0.0\n")
    resolver.write(file, ONE)
    resolver.write(file, ONE)
    assert file.read_text(errors="replace").count("# hagit:") == 1
    resolver.write(file, None)
    assert file.read_bytes() == b"# by hand \xff\noptions edns0 rotate\nsortlist 10.0.0.0\n"


def test_a_file_with_nothing_left_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    resolver.write(file, ONE)
    resolver.write(file, None)
    assert not file.exists()
    resolver.write(file, None)


def test_a_symlink_is_replaced_and_its_target_left(tmp_path: Path) -> None:
    target, file = tmp_path / "stub-resolv.conf", tmp_path / "resolv.conf"
    target.write_text("nameserver 127.0.0.53\n")
    file.symlink_to(target)
    resolver.write(file, ONE)
    assert not file.is_symlink()
    assert target.read_text() == "nameserver 127.0.0.53\n"


def test_the_stamp_says_whose_it_is(tmp_path: Path) -> None:
    def owner_after(content: str | None) -> Owner:
        with live_network() as network:
            network.perform(None, ONE)
            assert network.observe().owner(ONE.key) is Owner.AGENT
            file = network._resolver_file
            if content is not None:
                file.write_text(content)
            return network.observe().owner(ONE.key)

    assert in_namespace(lambda: owner_after(None)) is Owner.AGENT
    assert in_namespace(lambda: owner_after("nameserver 10.0.0.53\n")) is Owner.FOREIGN


def test_a_resolver_file_too_large_is_unknown_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_bytes(b"#" * 100_000)
    assert isinstance(resolver.read(file), Unknown)
    with pytest.raises(PerformError, match="larger than"):
        resolver.write(file, ONE)
    assert file.stat().st_size == 100_000
