"""The shares as bytes: what was written is read, and nothing else is believed."""

from dataclasses import replace

import pytest

from reconciler.core.failover.orders.document import orders_key, seal_orders
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.shares.document import (
    SHARES_BYTES_MAX,
    decode_body,
    decode_in_steps,
    decode_shares,
    shares_body,
    shares_document,
)
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

KEY, OTHER = orders_key(b"k" * 32), orders_key(b"o" * 32)
SHARES = Shares(
    pair="tank",
    hostname="storage",
    state="tank/hagit-state",
    nfs=NfsServer(("10.0.9.10",)),
    exports=(
        NfsExport(
            "home", "tank/home", (NfsClients("10.0.9.0/24"), NfsClients("*", ExportAccess.READ_ONLY, Squash.ALL))
        ),
        NfsExport("media", "tank/media", (NfsClients("10.0.9.7", security=("krb5", "sys")),), path="films"),
    ),
    iscsi=IscsiServer(),
    targets=(
        IscsiTarget(
            "vm",
            "iqn.2026-11.com.example:vm",
            ("10.0.9.10",),
            (Lun(0, "tank/vm0"), Lun(1, "tank/vm1")),
            (Initiator("iqn.1993-08.org.debian:01:1", Chap("vm", "vm-in"), Chap("tank", "vm-out")),),
        ),
    ),
)


@pytest.mark.parametrize("shares", [SHARES, Shares("tank")])
def test_what_was_written_is_read(shares: Shares) -> None:
    data = shares_document(shares, KEY)
    assert decode_shares(data, KEY) == shares
    assert data.count(b"\n") == 2


def test_nothing_else_is_believed() -> None:
    data = shares_document(SHARES, KEY)
    assert decode_shares(data, OTHER) == Refused(Refusal.SEAL)
    for at in range(0, len(data), 7):
        assert isinstance(decode_shares(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :], KEY), Refused), at
    for refused in (b"", data[:-1], data * 2, b" " * (SHARES_BYTES_MAX + 1)):
        assert isinstance(decode_shares(refused, KEY), Refused)


def test_a_field_of_a_newer_release_is_refused() -> None:
    body = b'{"format":"hagit.shares/1","shares":{"pair":"tank","only_on":"tuesday"}}\n'
    read = decode_shares(seal_orders(body, KEY), KEY)
    assert isinstance(read, Refused) and read.why is Refusal.VERSION and "only_on" in read.detail


def test_a_document_without_shares_has_nothing_to_serve() -> None:
    assert not Shares("tank") and SHARES
    assert list(SHARES.names()) == [(Protocol.NFS, "home"), (Protocol.NFS, "media"), (Protocol.ISCSI, "vm")]


def test_reading_in_steps_finds_the_same() -> None:
    many = replace(SHARES, exports=tuple(replace(SHARES.exports[0], name=f"share{at}") for at in range(60)))
    for shares in (SHARES, many, Shares("tank")):
        data = shares_document(shares, KEY)
        body = shares_body(data, KEY)
        assert isinstance(body, bytes) and decode_body(body) == shares == decode_shares(data, KEY)
    body = shares_body(shares_document(many, KEY), KEY)
    assert isinstance(body, bytes)
    assert [found is None for found in decode_in_steps(body)] == [True, True, True, False]


@pytest.mark.parametrize(
    "body",
    [
        b"{}\n",
        b'{"format":"hagit.shares/1"}\n',
        b'{"format":"hagit.shares/1","shares":[]}\n',
        b'{"format":"hagit.shares/1","shares":{"pair":"tank","exports":{}}}\n',
        b'{"format":"hagit.shares/1","shares":{"pair":"tank","exports":[{"name":"x"}]}}\n',
        b'{"format":"hagit.shares/1","shares":{"pair":"tank","targets":[{}],"new":1}}\n',
        b'{"format":"hagit.shares/1","shares":{"pair":"tank","new":1}}\n',
        b'{"format":"hagit.shares/9","shares":{"pair":"tank"}}\n',
        b"no JSON",
    ],
)
def test_reading_in_steps_refuses_what_is_no_document(body: bytes) -> None:
    assert isinstance(decode_body(body), Refused)
