"""The lines of rpc.mountd's table: options, escapes, identifiers, and exports that it could not read."""

from __future__ import annotations

import uuid

import pytest

from reconciler.core.shares.shares import ExportAccess, NfsClients, NfsExport, Squash
from reconciler.system.shares.nfs.etab import (
    UnfitExport,
    escaped_path,
    export_lines,
    file_system_identifier,
    is_host_name,
    path_of,
)

GUID = "1234567890123456789"


def lines(*clients: NfsClients, path: str | None = None, directory: str = "/srv/home") -> list[str]:
    export = NfsExport("home", "tank/home", clients, path)
    return export_lines(export, directory, GUID, {"client.example.org": ("192.0.2.7", "2001:db8::7")})


def test_each_client_is_a_line_with_every_option() -> None:
    fsid = file_system_identifier(GUID, None)
    assert lines(NfsClients("10.0.0.0/24")) == [
        "/srv/home\t10.0.0.0/24(rw,sync,no_wdelay,hide,nocrossmnt,secure,root_squash,no_all_squash,no_subtree_check,"
        f"secure_locks,acl,no_pnfs,fsid={fsid},mountpoint,anonuid=65534,anongid=65534,sec=sys)"
    ]
    clients = NfsClients("*", ExportAccess.READ_ONLY, Squash.ALL, ("krb5p", "krb5i"), 99, 98)
    (line,) = lines(clients, path="alpha", directory="/srv/home/alpha")
    assert line.startswith("/srv/home/alpha\t*(ro,sync,")
    assert "root_squash,all_squash" in line
    assert "mountpoint" not in line
    assert line.endswith("anonuid=99,anongid=98,sec=krb5p:krb5i)")


def test_a_network_is_written_by_its_first_address_and_a_host_without_a_length() -> None:
    written = [
        line.split("\t")[1].partition("(")[0] for line in lines(NfsClients("10.0.0.9/24"), NfsClients("::1/128"))
    ]
    assert written == ["10.0.0.0/24", "::1"]


def test_a_host_name_becomes_its_addresses_and_an_unknown_one_no_line() -> None:
    found = lines(NfsClients("client.example.org"), NfsClients("gone.example.org"))
    assert [line.split("\t")[1].partition("(")[0] for line in found] == ["192.0.2.7", "2001:db8::7"]


@pytest.mark.parametrize("hosts", ["a b", "a(rw)", "$(reboot)", "@group", "*.example.org", "", "x" * 254, "a\n*(rw)"])
def test_clients_that_are_no_address_network_or_name_are_refused(hosts: str) -> None:
    assert not is_host_name(hosts)
    with pytest.raises(UnfitExport, match="is no address, network or host name"):
        lines(NfsClients(hosts))


@pytest.mark.parametrize("security", [(), ("sys", "krb6"), ("sys,rw",)])
def test_unknown_flavours_are_refused(security: tuple[str, ...]) -> None:
    with pytest.raises(UnfitExport, match="is not known"):
        lines(NfsClients("*", security=security))


@pytest.mark.parametrize(
    "path", ["/srv/two words", "/srv/#home", '/srv/"home"', "/srv/größe", "/srv/a(b)c", "/srv/\udcff"]
)
def test_paths_are_escaped_and_read_back(path: str) -> None:
    escaped = escaped_path(path)
    assert escaped.isascii()
    assert not set(' #"()') & set(escaped)
    assert path_of(f"{escaped}\t*(rw)") == path


@pytest.mark.parametrize("path", ["/srv/\\040", "/srv/a\nb", "/srv/\x7f", "/" + "x" * 4_095])
def test_paths_that_mountd_does_not_read_back_are_refused(path: str) -> None:
    with pytest.raises(UnfitExport):
        escaped_path(path)


def test_the_identifier_of_a_file_system_never_changes() -> None:
    assert file_system_identifier(GUID, None) == "0f73510b-a61c-51f9-acc1-b893fc179375"
    assert uuid.UUID(file_system_identifier(GUID, "a")) != uuid.UUID(file_system_identifier(GUID, "b"))
