"""Changes of shares in words: what comes, what goes and what that means for clients."""

from dataclasses import replace

import pytest

from reconciler.core.shares.difference import (
    EXPORT_GONE,
    TARGET_GONE,
    ShareChange,
    removed_shares,
    share_changes,
    summary,
    use_of,
)
from reconciler.core.shares.ports import ConnectedClient
from reconciler.core.shares.shares import (
    Chap,
    ExportAccess,
    Initiator,
    IscsiServer,
    IscsiTarget,
    Lun,
    NfsClients,
    NfsExport,
    NfsServer,
    Protocol,
    Shares,
    Squash,
)

HOME = NfsExport("home", "tank/home", (NfsClients("10.0.0.0/24"),))
TARGET = IscsiTarget(
    "vm",
    "iqn.2026-01.org.example:vm",
    ("10.0.0.10",),
    (Lun(0, "tank/vm1"), Lun(1, "tank/vm2")),
    (Initiator("iqn.1993-08.org.debian:01:h1", Chap("h1", "one"), Chap("vm", "two")),),
)
ALL = Shares(
    "shelf1", "shelf1", "tank/hagit-state", NfsServer(("10.0.0.10",)), (HOME,), IscsiServer(), (TARGET,)
)  # fmt: skip
NONE = Shares("shelf1", "shelf1")


def test_everything_that_comes_is_named() -> None:
    assert share_changes(None, NONE) == share_changes(NONE, NONE) == share_changes(ALL, ALL) == ()
    assert share_changes(None, ALL) == share_changes(NONE, ALL)
    assert [tuple(change[:3]) for change in share_changes(None, ALL)] == [
        ("state of the servers", "", "tank/hagit-state"),
        ("NFS server", "", "at 10.0.0.10, version 4.1 and 4.2, 16 threads, lease 15 s, grace 15 s"),
        ("iSCSI server", "", "port 3260, silent initiators asked after 5 s, login within 10 s"),
        ("NFS export home", "", "tank/home for 10.0.0.0/24 rw root_squash"),
        (
            "iSCSI target vm",
            "",
            "iqn.2026-01.org.example:vm at 10.0.0.10: LUN 0 tank/vm1, LUN 1 tank/vm2; for iqn.1993-08.org.debian:01:h1 "
            "with CHAP h1 by one, mutual vm by two",
        ),
    ]


def test_each_change_names_the_resource_that_asks_for_it() -> None:
    asking = ["", "NfsServer", "IscsiServer", "NfsExport/home", "IscsiTarget/vm"]
    assert [change.resource for change in share_changes(None, ALL)] == asking


def test_what_goes_says_what_clients_notice() -> None:
    assert share_changes(ALL, NONE) == (
        ShareChange("NFS export home", "tank/home", EXPORT_GONE),
        ShareChange("iSCSI target vm", "iqn.2026-01.org.example:vm", TARGET_GONE),
    )


CLIENTS = replace(
    HOME,
    clients=(
        NfsClients("10.0.0.0/24", ExportAccess.READ_ONLY),
        NfsClients("ws1", squash=Squash.ALL, security=("krb5", "sys"), anonymous_uid=3_000),
    ),
)


@pytest.mark.parametrize(
    ("after", "changes"),
    [
        (
            replace(ALL, exports=(CLIENTS,)),
            [
                (
                    "NFS export home",
                    "clients 10.0.0.0/24 rw root_squash",
                    "10.0.0.0/24 ro root_squash, ws1 rw all_squash krb5:sys anonymous 3000:65534",
                )
            ],
        ),
        (
            replace(ALL, exports=(replace(HOME, name="homes"),)),
            [("NFS export homes", "named home", "named homes; clients notice nothing")],
        ),
        (
            replace(ALL, exports=(replace(HOME, path="a/b"),)),
            [
                ("NFS export home", "tank/home", EXPORT_GONE),
                ("NFS export home", "", "tank/home, a/b for 10.0.0.0/24 rw root_squash"),
            ],
        ),
        (
            replace(ALL, hostname="other"),
            [("name of the NFS server", "shelf1", "other: another server to NFS clients, which lose their locks")],
        ),
        (
            replace(ALL, state="fast/hagit-state"),
            [
                (
                    "state of the servers",
                    "tank/hagit-state",
                    "fast/hagit-state; locks and reservations that clients hold now are lost with the next failover",
                )
            ],
        ),
        (
            replace(ALL, targets=(replace(TARGET, luns=(Lun(0, "tank/vm3"), Lun(2, "tank/vm4"))),)),
            [
                (
                    "iSCSI target vm, LUN 0",
                    "tank/vm1",
                    "tank/vm3: initiators that use it get I/O errors, and find other data",
                ),
                ("iSCSI target vm, LUN 1", "tank/vm2", "none: initiators that use it get I/O errors"),
                ("iSCSI target vm, LUN 2", "", "tank/vm4"),
            ],
        ),
        (
            replace(ALL, targets=(replace(TARGET, addresses=("10.1.0.10",), initiators=()),)),
            [
                ("iSCSI target vm", "at 10.0.0.10", "at 10.1.0.10"),
                (
                    "iSCSI target vm",
                    "initiators iqn.1993-08.org.debian:01:h1 with CHAP h1 by one, mutual vm by two",
                    "without them, whose sessions end",
                ),
            ],
        ),
        (
            replace(ALL, iscsi=IscsiServer(3_261)),
            [
                (
                    "iSCSI server",
                    "port 3260, silent initiators asked after 5 s, login within 10 s",
                    "port 3261, silent initiators asked after 5 s, login within 10 s",
                )
            ],
        ),
    ],
    ids=["clients", "name", "place", "hostname", "state", "luns", "portals", "server"],
)
def test_what_changes_says_what_clients_notice(after: Shares, changes: list[tuple[str, str, str]]) -> None:
    assert [tuple(change[:3]) for change in share_changes(ALL, after)] == changes


def test_clients_of_removed_shares_are_named() -> None:
    home, target = (Protocol.NFS, "home"), (Protocol.ISCSI, "vm")
    assert removed_shares(ALL, NONE) == (home, target)
    assert removed_shares(None, NONE) == removed_shares(ALL, ALL) == ()
    assert removed_shares(ALL, replace(ALL, exports=(replace(HOME, name="homes"),))) == ()
    initiator = ConnectedClient(Protocol.ISCSI, "10.0.0.7", "iqn.1993-08.org.debian:01:h1", ("vm",))
    other = ConnectedClient(Protocol.ISCSI, "10.0.0.8", "iqn.1993-08.org.debian:01:h2", ("db",))
    clients = (initiator, other, *(ConnectedClient(Protocol.NFS, f"10.0.1.{at}") for at in range(1, 9)))
    assert use_of(target, clients) == (
        "iSCSI target vm is removed while clients use it: 10.0.0.7 (iqn.1993-08.org.debian:01:h1)"
    )
    assert use_of(home, clients) == (
        "NFS export home is removed, and these clients do not tell which shares they use: 10.0.1.1, 10.0.1.2, "
        "10.0.1.3, 10.0.1.4, 10.0.1.5, 10.0.1.6 and 2 more"
    )
    assert use_of(target, (other,)) == use_of(home, ()) == ""


def test_long_lists_are_counted() -> None:
    many = replace(HOME, clients=tuple(NfsClients(f"10.0.0.{number}") for number in range(1_024)))
    (change,) = share_changes(ALL, replace(ALL, exports=(many,)))
    assert change.after.endswith("10.0.0.5 rw root_squash and 1,018 more")
    assert summary(share_changes(None, ALL)) == (
        "state of the servers; NFS server; iSCSI server; NFS export home; iSCSI target vm"
    )
