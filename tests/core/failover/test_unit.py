"""Hardware unit: the file with the serial number of a controller, and which machine may claim by it."""

import pytest

from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.orders.document import orders_key, seal_orders
from reconciler.core.failover.orders.hardware_unit import (
    FORMAT,
    UNIT_BYTES_MAX,
    Unit,
    decode_unit,
    unfit,
    unit_document,
)
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.reservations.key import Side
from reconciler.core.failover.strict_json import canonical

KEY, OTHER = orders_key(b"1" * 32), orders_key(b"2" * 32)
UNIT = Unit("tank", Side.A, ("SN-1",))


@pytest.mark.parametrize("unit", [UNIT, Unit("tank", Side.B, ())], ids=["serial", "none"])
def test_a_unit_is_read_as_it_was_written(unit: Unit) -> None:
    assert decode_unit(unit_document(unit, KEY), KEY) == unit


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", Refusal.LENGTH),
        (b"x" * (UNIT_BYTES_MAX + 1), Refusal.LENGTH),
        (b"x" * 500, Refusal.FOREIGN),
        (unit_document(UNIT, OTHER), Refusal.SEAL),
        (unit_document(UNIT, KEY).replace(b"SN-1", b"SN-2"), Refusal.SEAL),
    ],
    ids=["empty", "long", "foreign", "another secret", "changed"],
)
def test_what_is_no_unit_is_refused(data: bytes, why: Refusal) -> None:
    read = decode_unit(data, KEY)
    assert isinstance(read, Refused)
    assert read.why is why


def test_what_a_newer_release_says_besides_is_kept_apart() -> None:
    whole = {"format": FORMAT, "later": 1, "unit": {"pair": "tank", "side": "a", "serials": ["SN-1"], "colour": "red"}}
    assert decode_unit(seal_orders(canonical(whole) + b"\n", KEY), KEY) == UNIT
    for damage in ({"format": "hagit.unit/2"}, {"unit": {"pair": "tank"}}, {"unit": None}):
        assert isinstance(decode_unit(seal_orders(canonical(whole | damage) + b"\n", KEY), KEY), Refused)


@pytest.mark.parametrize(
    ("unit", "serial", "code"),
    [
        (None, "", None),
        (UNIT, "SN-1", None),
        (Unit("tank", Side.A, ()), "SN-9", None),
        (UNIT, "SN-2", Code.OTHER_UNIT),
        (UNIT, "", Code.UNIT_UNKNOWN),
        (Unit("tank", Side.B, ("SN-1",)), "SN-1", Code.OTHER_UNIT),
        (Refused(Refusal.SEAL), "SN-1", Code.UNIT_UNKNOWN),
    ],
)
def test_who_may_claim(unit: Unit | Refused | None, serial: str, code: Code | None) -> None:
    found = unfit(unit, Side.A, serial)
    assert (None if found is None else found.code) is code
