"""Orders as a file: one file for each value; any other bytes are refused with the defect and its place."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.failover.orders.document import (
    ORDERS_BYTES_MAX,
    OrdersRead,
    decode_orders,
    orders_document,
    orders_key,
    read_orders_document,
    seal_orders,
)
from reconciler.core.failover.orders.orders import Carp, Orders, Vdev, digest
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.reservations.key import Side
from reconciler.errors import StateError
from tests.core.failover.beats import ORDERS, OTHER_SECRET, SECRET, all_orders, flipped, large_orders

KEY = orders_key(SECRET)
DOCUMENT = orders_document(ORDERS, KEY)
BODY = DOCUMENT[: DOCUMENT.index(b"\n") + 1]


def decode_body(body: bytes) -> Orders | Refused:
    return decode_orders(seal_orders(body, KEY), KEY)


def with_part(path: str, value: object) -> bytes:
    """The canonical first line with one part replaced, sealed like the agent would."""
    document = json.loads(BODY)
    at = document
    *way, last = [int(name) if name.isdigit() else name for name in path.split(".")]
    for name in way:
        at = at[name]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def refusal(decoded: Orders | Refused) -> Refusal:
    assert isinstance(decoded, Refused), decoded
    assert len(decoded.detail) <= 200 and decoded.detail.isprintable()
    return decoded.why


@given(all_orders)
def test_orders_come_back_as_they_went(orders: Orders) -> None:
    document = orders_document(orders, KEY)
    decoded = decode_orders(document, KEY)
    assert decoded == orders
    assert isinstance(decoded, Orders)
    assert digest(decoded) == digest(orders)
    assert orders_document(decoded, KEY) == document


@given(all_orders, all_orders)
def test_equal_digests_mean_equal_orders_but_for_what_is_the_sides_own(one: Orders, other: Orders) -> None:
    same = replace(one, side=Side.A, devices=()) == replace(other, side=Side.A, devices=())
    assert (digest(one) == digest(other)) == same
    assert digest(one) == digest(replace(one, side=one.side.other, devices=other.devices))


def test_the_file_is_two_lines_of_json_in_ascii() -> None:
    first, second, rest = orders_document(replace(ORDERS, pair="été"), KEY).decode("ascii").split("\n")
    assert rest == ""
    assert json.loads(first)["orders"]["pair"] == "été"
    assert list(json.loads(second)) == ["seal"]


def test_every_single_flipped_bit_is_refused() -> None:
    for bit in range(len(DOCUMENT) * 8):
        refusal(decode_orders(flipped(DOCUMENT, bit), KEY))


def test_every_truncation_and_extension_is_refused() -> None:
    for length in range(len(DOCUMENT)):
        refusal(decode_orders(DOCUMENT[:length], KEY))
        refusal(decode_orders(DOCUMENT[length + 1 :], KEY))
    for more in (b"\n", b"\0", b" ", DOCUMENT):
        refusal(decode_orders(DOCUMENT + more, KEY))
        refusal(decode_orders(more + DOCUMENT, KEY))


def test_a_file_that_is_none_of_hagits_is_told_from_a_damaged_one() -> None:
    assert refusal(decode_orders(b"[Unit]\n" * 100, KEY)) is Refusal.FOREIGN
    assert refusal(decode_orders(bytes(len(DOCUMENT)), KEY)) is Refusal.FOREIGN
    assert refusal(decode_orders(DOCUMENT[:40] + bytes(len(DOCUMENT) - 40), KEY)) is Refusal.SEAL


def test_halves_of_two_generations_are_refused() -> None:
    newer = orders_document(replace(ORDERS, generation=42), KEY)
    for cut in range(1, len(DOCUMENT)):
        mixed = newer[:cut] + DOCUMENT[cut:]
        if mixed not in (newer, DOCUMENT):
            refusal(decode_orders(mixed, KEY))


def test_orders_of_another_secret_are_refused() -> None:
    assert refusal(decode_orders(orders_document(ORDERS, orders_key(OTHER_SECRET)), KEY)) is Refusal.SEAL


@given(st.binary(max_size=3_000))
def test_any_bytes_are_refused(data: bytes) -> None:
    refusal(decode_orders(data, KEY))
    refusal(decode_orders(BODY[:24] + data, KEY))
    refusal(decode_body(BODY[:24] + data))
    refusal(decode_body(data))


DEFECTS = [
    ("orders.generation", ..., "orders: generation is missing"),
    ("orders.vdevs.0.needed", ..., "orders.vdevs[0]: needed is missing"),
    ("shade", 1, "document: format, needs and orders, nothing else"),
    ("orders", ..., "document: format, needs and orders, nothing else"),
    ("needs", "x", "needs: str in place of a list"),
    ("needs", [1], "needs[0]: int in place of str"),
    ("orders", None, "orders: NoneType in place of an object"),
    ("orders.generation", "41", "orders.generation: str in place of int"),
    ("orders.generation", True, "orders.generation: bool in place of int"),
    ("orders.generation", -1, f"orders.generation: an integer from 0 to {2**63 - 1}"),
    ("orders.generation", 2**63, f"orders.generation: an integer from 0 to {2**63 - 1}"),
    ("orders.generation", 10**400, "document: an integer of 401 digits"),
    ("orders.generation", 41.0, "document: '41.0' is no integer"),
    ("orders.timers.pause_ms", float("nan"), "document: 'NaN' is no integer"),
    ("orders.timers.pause_ms", float("inf"), "document: 'Infinity' is no integer"),
    ("orders.timers.pause_ms", float("-inf"), "document: '-Infinity' is no integer"),
    ("orders.timers.pause_ms", 1e300, "document: '1e+300' is no integer"),
    ("orders.timers.pause_ms", None, "orders.timers.pause_ms: NoneType in place of int"),
    ("orders.timers", [], "orders.timers: list in place of an object"),
    ("orders.enabled", 1, "orders.enabled: int in place of bool"),
    ("orders.side", "c", "orders.side: one of a, b"),
    ("orders.side", ["a"], "orders.side: one of a, b"),
    ("orders.devices.0.by", "smell", "orders.devices[0].by: one of mac, path, name"),
    ("orders.channels.0.kind", "pigeon", "orders.channels[0].kind: one of interlink, carp"),
    ("orders.controllers", ["left"], "orders.controllers: 1 items in place of 2"),
    ("orders.disks", "wwn", "orders.disks: str in place of a list"),
    ("orders.disks", ["d"] * 4_097, "orders.disks: 4097 items, at most 4096"),
    ("orders.disks.0", "", "orders.disks[0]: text of 1 to 255 characters that print"),
    ("orders.disks.0", "d" * 256, "orders.disks[0]: text of 1 to 255 characters that print"),
    ("orders.disks.0", "sd\na", "orders.disks[0]: text of 1 to 255 characters that print"),
    ("orders.disks.0", "\ud800", "orders.disks[0]: text of 1 to 255 characters that print"),
    ("orders.disks.0", "\u202eab", "orders.disks[0]: text of 1 to 255 characters that print"),
    ("orders.vdevs.0.disks.0", {}, "orders.vdevs[0].disks[0]: dict in place of int"),
]


@pytest.mark.parametrize(("path", "value", "detail"), DEFECTS, ids=[detail[:50] for _, _, detail in DEFECTS])
def test_each_defect_says_what_and_where(path: str, value: object, detail: str) -> None:
    assert decode_body(with_part(path, value)) == Refused(Refusal.AUTHENTIC_DEFECT, detail)


@pytest.mark.parametrize("path", ["orders.timers.network_ms", "orders.timers", "orders.carp.advskew", "orders.limits"])
def test_what_an_older_release_did_not_write_has_its_default(path: str) -> None:
    plain = replace(ORDERS, carp=Carp(1, 0, virtual_mac=True))
    document = json.loads(orders_document(plain, KEY).splitlines()[0])
    *way, last = path.split(".")
    at = document
    for name in way:
        at = at[name]
    del at[last]
    body = json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    assert decode_body(body) == plain


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("orders.colour", 1, "orders.colour"),
        ("orders.timers.grace_ms", 5, "orders.timers.grace_ms"),
        ("orders.vdevs.1.spare", [{"a": None}], "orders.vdevs[1].spare"),
        ("orders." + "x" * 500, 1, "orders." + "x" * 53),
        ("orders.a\x1b[2J", 1, "orders.?"),
        ("orders." + "\U0001f4be" * 1_000, 1, "orders.?"),
    ],
)
def test_what_a_newer_release_added_is_named_and_not_followed(path: str, value: object, where: str) -> None:
    read = read_orders_document(seal_orders(with_part(path, value), KEY), KEY)
    assert read == OrdersRead(ORDERS, (where,))


def test_of_many_additions_some_are_named() -> None:
    document = json.loads(BODY)
    document["orders"] |= {f"new{number}": number for number in range(500)}
    document["orders"]["timers"]["more"] = 1
    body = json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    read = read_orders_document(seal_orders(body, KEY), KEY)
    assert isinstance(read, OrdersRead) and read.orders == ORDERS and len(read.newer) == 20


def test_orders_that_need_what_this_release_does_not_know_are_refused() -> None:
    assert decode_body(with_part("needs", [])) == ORDERS
    decoded = decode_body(with_part("needs", ["witness"]))
    assert refusal(decoded) is Refusal.VERSION
    assert "a newer hagit wrote them, which this one cannot follow: 'witness'" in str(decoded)
    assert refusal(decode_body(with_part("needs", ["\u00e9" * 200]))) is Refusal.VERSION


def test_integers_of_any_length_are_refused() -> None:
    for digits in (20, 4_300, 4_301, 500_000):
        decoded = decode_body(BODY.replace(b":41,", b":" + b"9" * digits + b","))
        assert decoded == Refused(Refusal.AUTHENTIC_DEFECT, f"document: an integer of {digits} digits")


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace(b'"strict":true', b'"strict":true,"strict":true'),
        BODY.replace(b'"strict":true', b'"strict":true,"strict":false'),
        BODY.replace(b'"format":', b'"format":"hagit.orders/1","format":'),
    ],
)
def test_a_key_that_stands_there_twice_is_refused(body: bytes) -> None:
    decoded = decode_body(body)
    assert refusal(decoded) is Refusal.AUTHENTIC_DEFECT
    assert "stands there twice" in str(decoded)


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace(b'"generation":41', b'"generation": 41'),
        BODY.replace(b'"generation":41', b'"generation":41 '),
        BODY.replace(b"interlink", b"\\u0069nterlink", 1),
        BODY.replace(b"tank-pair", b"tank\\u002dpair"),
        BODY[:-1],
        BODY + b"\n",
        json.dumps(json.loads(BODY), separators=(",", ":")).encode() + b" \n",
        BODY.replace(b'"network_ms":0', b'"network_ms":-0'),
    ],
)
def test_another_way_to_write_the_same_is_refused(body: bytes) -> None:
    assert json.loads(body) == json.loads(BODY)
    assert decode_body(body) == Refused(Refusal.AUTHENTIC_DEFECT, "document: not in canonical form")


@pytest.mark.parametrize("opening", [b"[", b'{"":'])
@pytest.mark.parametrize("depth", [10, 1_000, 100_000, 170_000])
def test_deep_nesting_is_refused(opening: bytes, depth: int) -> None:
    start = b'{"format":"hagit.orders/1","orders":'
    assert refusal(decode_body(start + opening * depth)) is Refusal.AUTHENTIC_DEFECT
    closing = {b"[": b"]", b'{"":': b"}"}[opening]
    body = start + opening * depth + b"0" + closing * depth + b"}\n"
    assert refusal(decode_body(body)) is Refusal.AUTHENTIC_DEFECT


def test_many_keys_with_one_double_cost_no_more_than_their_length() -> None:
    keys = ",".join(f'"{number}":0' for number in range(80_000))
    body = b'{"format":"hagit.orders/1","orders":{' + keys.encode() + b',"79999":0}}\n'
    assert "'79999' stands there twice" in str(decode_body(body))


def test_a_later_format_is_named() -> None:
    decoded = decode_body(BODY.replace(b"hagit.orders/1", b"hagit.orders/2"))
    assert decoded == Refused(Refusal.VERSION, "this is hagit.orders/1")


def test_more_than_a_mebibyte_is_not_looked_at() -> None:
    body = BODY.replace(b"tank-pair", b"x" * ORDERS_BYTES_MAX)
    assert refusal(decode_body(body)) is Refusal.LENGTH
    assert refusal(decode_orders(b"", KEY)) is Refusal.LENGTH


def test_the_largest_shelf_fits() -> None:
    orders = large_orders(2_048)
    document = orders_document(orders, KEY)
    assert decode_orders(document, KEY) == orders
    assert len(document) < ORDERS_BYTES_MAX / 4


@pytest.mark.parametrize(
    ("orders", "what"),
    [
        (replace(ORDERS, generation=-1), "orders.generation: an integer from 0"),
        (replace(ORDERS, pair=""), "orders.pair: text of 1 to 255"),
        (replace(ORDERS, vdevs=(Vdev("v", (0,), 1 << 63),)), r"orders.vdevs\[0\].needed: an integer"),
        (replace(ORDERS, disks=("é" * 255,) * 2_000), "the orders take 30.* bytes, 1048576 are allowed"),
    ],
)
def test_what_would_not_come_back_is_not_written(orders: Orders, what: str) -> None:
    with pytest.raises(StateError, match=what):
        orders_document(orders, KEY)
