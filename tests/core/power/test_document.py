"""The power plan as bytes: what was written is read, and nothing else is believed."""

import pytest

from reconciler.core.failover.orders.document import decode_orders, orders_key, seal_orders
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.reservations.key import Side
from reconciler.core.power.document import POWER_BYTES_MAX, decode_power, power_document
from reconciler.core.power.plan import Option, PowerPlan, PowerSwitch

KEY, OTHER = orders_key(b"k" * 32), orders_key(b"o" * 32)
PLAN = PowerPlan(
    "tank",
    (
        PowerSwitch(Side.A, "fence_ipmilan", (Option("ip", "10.0.9.11"), Option("lanplus", "1")), 20_000),
        PowerSwitch(Side.B, "fence_local_ours", (), 5_000),
    ),
    check_ms=5_000,
    restart=False,
)


@pytest.mark.parametrize("plan", [PLAN, PowerPlan("tank", ())])
def test_what_was_written_is_read(plan: PowerPlan) -> None:
    data = power_document(plan, KEY)
    assert decode_power(data, KEY) == plan
    assert data.count(b"\n") == 2
    assert [plan.of(side) for side in Side] == list(plan.switches) or plan.of(Side.A) is None


def test_nothing_else_is_believed() -> None:
    data = power_document(PLAN, KEY)
    assert decode_power(data, OTHER) == Refused(Refusal.SEAL)
    assert isinstance(decode_orders(data, KEY), Refused)
    for at in range(len(data)):
        assert isinstance(decode_power(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :], KEY), Refused), at
    for refused in (b"", data[:-1], data * 1_000, b" " * (POWER_BYTES_MAX + 1)):
        assert isinstance(decode_power(refused, KEY), Refused)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"format":"hagit.power/2","power":{}}\n', "this is hagit.power/1"),
        (b'{"format":"hagit.power/1"}\n', "power is missing"),
        (b'{"format":"hagit.power/1","power":{"pair":"tank"}}\n', "switches is missing"),
        (b'{"format":"hagit.power/1","power":[]}\n', "list in place of an object"),
        (b'{"format":"hagit.power/1","power":\n', "Expecting value"),
    ],
)
def test_a_sealed_defect_is_named(body: bytes, detail: str) -> None:
    read = decode_power(seal_orders(body, KEY), KEY)
    assert isinstance(read, Refused) and detail in read.detail


def test_what_an_older_release_did_not_write_has_its_default_and_what_a_newer_one_added_is_refused() -> None:
    short = b'{"format":"hagit.power/1","power":{"pair":"tank","switches":[]%s}%s}\n'
    assert decode_power(seal_orders(short % (b"", b""), KEY), KEY) == PowerPlan("tank", ())
    for more in ((b',"delay":1', b""), (b"", b',"shade":1')):
        read = decode_power(seal_orders(short % more, KEY), KEY)
        assert isinstance(read, Refused) and read.why is Refusal.VERSION and "a newer hagit wrote it" in read.detail


@pytest.mark.parametrize(
    ("agent", "name", "value", "detail"),
    [
        ("/usr/sbin/fence_ipmilan", "ip", "10.0.9.11", "the fence agent of a is a path"),
        ("fence_dummy", "type", "file", "the fence agent of a switches no power"),
        ("fence_ilo_ssh", "ip", "h -oProxyCommand=x", "`ip` of the fence agent of a has to be 1 to 200 letters"),
        ("fence_ilo_ssh", "ssh_options", "x", "`ssh_options` of the fence agent of a lets the repository choose"),
        ("fence_gce", "runonfail", "x", "`runonfail` of the fence agent of a lets the repository choose"),
        ("fence_ilo_ssh", "a b", "x", "an option of the fence agent of a is no name of an option"),
    ],
)
def test_a_sealed_plan_says_no_more_to_an_agent_than_git_may(agent: str, name: str, value: str, detail: str) -> None:
    plan = PowerPlan("tank", (PowerSwitch(Side.A, agent, (Option(name, value),), 20_000),))
    read = decode_power(power_document(plan, KEY), KEY)
    assert isinstance(read, Refused) and detail in read.detail
