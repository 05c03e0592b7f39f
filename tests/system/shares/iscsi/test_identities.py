"""Names that become paths of the kernel's target, and identities that initiators recognise."""

from __future__ import annotations

import pytest

from reconciler.system.shares.iscsi import identities


@pytest.mark.parametrize(
    "name",
    [
        "iqn.2026-01.org.example:disk",
        "iqn.1991-05.com.microsoft:host.example.org",
        "iqn.2026-01.org.example",
        "eui.02004567a425678d",
        "naa.52004567ba64678d",
        "naa.62004567ba64678d0123456789abcdef",
    ],
)
def test_names_of_rfc_7143(name: str) -> None:
    assert identities.fault_of_name(name) == ""


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("", "no iSCSI name"),
        ("disk", "no iSCSI name"),
        ("iqn.2026-01.org.example:a/b", "no iSCSI name"),
        ("iqn.2026-01.org.example:../../core", "no iSCSI name"),
        ("iqn.2026-01.org.example:a b", "no iSCSI name"),
        ("iqn.2026-01.org.example:a\n", "no iSCSI name"),
        ("iqn.2026-01.org.example:" + "a" * 223, "more than 223 bytes"),
        ("iqn.2026-01.org.Example:disk", "capital letters"),
        ("eui.02004567A425678D", "capital letters"),
        ("eui.0200", "no iSCSI name"),
    ],
)
def test_other_names_are_refused(name: str, word: str) -> None:
    assert word in identities.fault_of_name(name)


def test_a_serial_number_is_the_guid_and_names_the_backstore() -> None:
    serial = identities.serial_of(0x1F)
    assert serial == "000000000000001f"
    assert identities.serial_in(identities.backstore_of(serial)) == serial
    for other in ("hagit-", "hagit-1f", "disk", "hagit-000000000000001F", "hagit-000000000000001f/.."):
        assert identities.serial_in(other) is None
    for number in (0, -1, 1 << 64):
        with pytest.raises(ValueError, match="no GUID"):
            identities.serial_of(number)


def test_an_alias_marks_a_target() -> None:
    assert identities.share_in(identities.alias_of("vm-disks")) == "vm-disks"
    for alias in ("", "LIO Target", "hagit/", "hagit/a b", "hagit/../x"):
        assert identities.share_in(alias) is None


@pytest.mark.parametrize(
    ("address", "portal"),
    [("192.0.2.1", "192.0.2.1:3260"), ("2001:db8::0:1", "[2001:db8::1]:3260")],
)
def test_portals(address: str, portal: str) -> None:
    assert identities.portal_of(address, 3260) == portal


@pytest.mark.parametrize("address", ["", "host", "192.0.2.1/24", "fe80::1%eth0", "../192.0.2.1", "192.0.2.1:1"])
def test_no_portals(address: str) -> None:
    with pytest.raises(ValueError, match=r"address|portal"):
        identities.portal_of(address, 3260)
