"""The watchdog's orders: published last when a revision is applied, of a generation that both controllers agree on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.failover.orders.document import decode_orders, orders_document, orders_key
from reconciler.core.failover.orders.hardware_unit import Unit, decode_unit
from reconciler.core.failover.orders.orders import Orders, digest
from reconciler.core.failover.reservations.key import Side
from reconciler.system.files import write_atomic
from reconciler.system.secret import next_path, previous_path
from tests.controller import Controller, Done, controller_at, resource
from tests.wait import until

SECRET = b"5e" * 32
KEY = orders_key(SECRET)
DISKS = "[wwn-0x1001, wwn-0x1002, wwn-0x1003]"
NETWORK = """\
---
apiVersion: hagit/v1
kind: Interface
metadata: {name: e0}
spec:
  a: {match: {name: e0}, address: 10.0.0.2/24}
  b: {match: {name: e0}, address: 10.0.0.3/24}
  virtual: {address: 10.0.0.10/24, vhid: 20}
  critical: true
  failoverGroup: 1
---
apiVersion: hagit/v1
kind: Interface
metadata: {name: e1}
spec:
  role: interlink
  a: {match: {name: e1}, address: 169.254.10.1/24}
  b: {match: {name: e1}, address: 169.254.10.2/24}
"""
POOL = resource("Pool", "tank", f"{{vdevs: [{{type: raidz1, disks: {DISKS}}}]}}")


def policy(more: str = "") -> str:
    return resource("Failover", "failover", f"{{arbitration: {DISKS}{more}}}")


def with_watchdog(controller: Controller, secret: bytes = SECRET) -> Controller:
    """A node with a watchdog, following the repository it follows."""
    path = controller.root / "pair.secret"
    path.write_bytes(secret)
    path.chmod(0o600)
    source = f"remotes = ['{controller.work.path}']"
    controller.write_node(source=source, watchdog=f"secret = '{path}'\nshelf = 'simulated:/run/shelf.sock'")
    return controller


@pytest.fixture
def guarded(controller: Controller) -> Controller:
    """Two commits: the pair, and its failover."""
    controller.work.commit("Let it fail over", failover__yaml=NETWORK + POOL + policy())
    return with_watchdog(controller)


@pytest.fixture
def other(guarded: Controller, tmp_path: Path) -> Iterator[Controller]:
    """Controller b of the same pair, which follows the same repository and never speaks with a."""
    with controller_at(tmp_path / "b") as made:
        made.letter = "b"
        made.work = guarded.work
        yield with_watchdog(made)


def orders(controller: Controller) -> Orders:
    """What the watchdog would read."""
    read = decode_orders((controller.state / "orders.json").read_bytes(), KEY)
    assert isinstance(read, Orders), read
    return read


def applied(controller: Controller) -> Orders:
    controller.apply()
    return orders(controller)


def change(controller: Controller, more: str) -> None:
    controller.work.commit("Change the policy", failover__yaml=NETWORK + POOL + policy(more))


def said(done: Done) -> str:
    assert done.code == 0, done
    return done.out


def test_orders_are_published_last_and_sealed(guarded: Controller) -> None:
    plan = said(guarded.hagit("plan"))
    assert "changes of the watchdog's orders" in plan
    assert "Orders for the watchdog (published last)" in plan
    assert "+ virtual addresses" in plan and "10.0.0.10/24 on e0 (VHID 20)" in plan
    assert guarded.hagit("plan", "--detailed-exitcode").code == 2
    assert "orders 2000 published" in said(guarded.apply())
    told = orders(guarded)
    assert (told.pair, told.side, told.generation, told.enabled) == ("shelf", "a", 2_000, True)
    assert told.disks == ("wwn-0x1001", "wwn-0x1002", "wwn-0x1003")
    assert (guarded.state / "orders.json").stat().st_mode & 0o777 == 0o600
    again = guarded.hagit("plan", "--detailed-exitcode")
    assert (again.code, "No changes" in again.out) == (0, True)
    decided = [line for line in guarded.lines("decisions.jsonl") if line["decision"] in ("applied", "orders")]
    assert [line["decision"] for line in decided] == ["applied", "orders"]


def test_a_change_of_orders_is_shown_before_and_after(guarded: Controller) -> None:
    applied(guarded)
    change(guarded, ", enabled: false, heartbeat: {silence: 2s}")
    plan = said(guarded.hagit("plan"))
    assert "2 changes of the watchdog's orders" in plan
    assert "~ failover         enabled → disabled" in plan
    assert "~ network silence  1s → 2s" in plan
    document = guarded.hagit("plan", "-o", "json").json()
    assert document["orders"][0] == {"what": "failover", "before": "enabled", "after": "disabled"}
    told = applied(guarded)
    assert (told.generation, told.enabled, told.timers.silence_ms) == (3_000, False, 2_000)


def test_a_saved_plan_publishes_what_it_showed(guarded: Controller) -> None:
    file = str(guarded.root / "plan.json")
    said(guarded.hagit("plan", "--out", file))
    said(guarded.hagit("apply", file, "--yes"))
    first = orders(guarded)
    change(guarded, ", strict: true")
    said(guarded.hagit("plan", "--out", file))
    write(guarded, replace(first, strict=True, generation=first.generation + 1))
    stale = guarded.hagit("apply", file, "--yes")
    assert stale.code == 1 and "the orders for the watchdog have changed" in stale.err


def write(controller: Controller, told: Orders) -> None:
    # In one step: a running agent would repair a half-written file.
    write_atomic(controller.state / "orders.json", orders_document(told, KEY))


def test_both_controllers_agree_without_talking(guarded: Controller, other: Controller) -> None:
    applied(guarded)
    change(guarded, ", timeout: 3s")
    applied(guarded)
    guarded.work.commit("Say something", readme__txt="nothing of it is orders")
    here = applied(guarded)
    there = applied(other)
    assert (here.side, there.side) == ("a", "b")
    assert here.generation == there.generation == 4_000
    assert digest(here) == digest(there)


def test_a_merge_rises_even_when_its_first_parents_are_few(guarded: Controller) -> None:
    git = guarded.work.git
    git("branch", "aside", "main~1")
    for timeout in ("1s", "2s", "3s"):
        change(guarded, f", timeout: {timeout}")
    assert applied(guarded).generation == 5_000
    git("checkout", "-q", "aside")
    guarded.work.commit("Meanwhile", note__txt="x")
    git("merge", "-q", "-m", "Merge", "main")
    git("branch", "-f", "main", "aside")
    git("checkout", "-q", "main")
    assert applied(guarded).generation == 7_000


def test_a_rollback_is_a_new_generation_with_old_content(guarded: Controller, other: Controller) -> None:
    first = applied(guarded)
    change(guarded, ", strict: true")
    second = applied(guarded)
    out = said(guarded.hagit("rollback", "--yes"))
    assert "~ strict  yes → no" in out
    back = orders(guarded)
    assert back == replace(first, generation=3_001)
    assert second.generation < back.generation
    applied(other)
    said(other.hagit("rollback", first_commit(guarded), "--yes"))
    assert digest(orders(other)) == digest(back)
    change(guarded, ", timeout: 1s")
    assert applied(guarded).generation == applied(other).generation == 4_000


def first_commit(controller: Controller) -> str:
    return controller.work.git("rev-parse", "main~1")


def test_orders_that_were_changed_by_hand_are_put_right_with_a_new_generation(guarded: Controller) -> None:
    guarded.start_agent()
    told = until_published(guarded, lambda told: told.generation == 2_000)
    write(guarded, replace(told, enabled=False, generation=2_007))
    assert until_published(guarded, lambda told: told.generation > 2_007) == replace(told, generation=2_008)
    (guarded.state / "orders.json").write_bytes(b"rubbish")
    assert until_published(guarded, lambda told: True).enabled
    until(lambda: (guarded.status()["orders"] or 0) >= 2_000, guarded.logs)


def until_published(controller: Controller, right: Callable[[Orders], bool]) -> Orders:
    """Wait until the agent has published orders that are right."""

    def look() -> Orders | None:
        path = controller.state / "orders.json"
        read = decode_orders(path.read_bytes(), KEY) if path.exists() else None
        return read if isinstance(read, Orders) and right(read) else None

    found = until(look, controller.logs)
    assert found is not None
    return found


def test_a_reinstalled_agent_goes_on_where_the_watchdog_is(guarded: Controller) -> None:
    first = applied(guarded)
    for name in ("orders.json", "applied.json", "source.json"):
        (guarded.state / name).unlink()
    (guarded.state / "watchdog").mkdir()
    accepted = guarded.state / "watchdog" / "accepted.json"
    accepted.write_text(json.dumps({"pair": "shelf", "generation": 2_000}))
    assert applied(guarded) == first, "the same revision is the same generation"
    (guarded.state / "orders.json").unlink()
    accepted.write_text(json.dumps({"pair": "shelf", "generation": 2_005}))
    assert applied(guarded).generation == 2_006
    accepted.write_text(json.dumps({"pair": "another", "generation": 9_005}))
    (guarded.state / "orders.json").unlink()
    assert applied(guarded).generation == 2_000
    accepted.write_text("rubbish")
    assert applied(guarded).generation == 2_000


def test_the_files_of_a_directory_raise_the_generation_too(guarded: Controller, tmp_path: Path) -> None:
    applied(guarded)
    folder = tmp_path / "tried"
    folder.mkdir()
    text = guarded.work.git("show", "HEAD:pair.yaml") + "\n" + NETWORK + POOL + policy(", strict: true")
    (folder / "pair.yaml").write_text(text)
    said(guarded.hagit("apply", "--directory", str(folder), "--yes"))
    tried = orders(guarded)
    assert (tried.strict, tried.generation) == (True, 2_001)
    assert applied(guarded) == replace(tried, strict=False, generation=2_002)


def test_without_a_failover_the_last_orders_stay_disabled(guarded: Controller) -> None:
    first = applied(guarded)
    guarded.work.commit("No more of it", failover__yaml=NETWORK)
    assert "~ failover  enabled → disabled" in said(guarded.hagit("plan"))
    assert applied(guarded) == replace(first, enabled=False, generation=3_000)


def test_a_replaced_history_rises_too(guarded: Controller) -> None:
    change(guarded, ", strict: true")
    assert applied(guarded).generation == 3_000
    guarded.work.git("checkout", "-q", "--orphan", "fresh")
    change(guarded, ", timeout: 9s")
    guarded.work.git("branch", "-M", "fresh", "main")
    tip = guarded.work.git("rev-parse", "HEAD")
    assert guarded.hagit("apply", "--yes").code == 1
    said(guarded.hagit("accept-history", tip, "--yes"))
    assert applied(guarded).generation == 4_000


def test_a_node_without_a_watchdog_has_no_orders(guarded: Controller) -> None:
    guarded.write_node()
    assert "watchdog" not in said(guarded.hagit("plan"))
    assert "orders" not in said(guarded.apply())
    assert not (guarded.state / "orders.json").exists()
    guarded.start_agent()
    until(lambda: guarded.status().get("in_force"), guarded.logs)
    assert guarded.status()["orders"] is None
    assert "orders" not in guarded.hagit("status").out


def test_orders_that_cannot_be_published_are_said_and_then_are(guarded: Controller) -> None:
    with_watchdog(guarded, b"short")
    assert "the orders for the watchdog cannot be published" in guarded.hagit("plan").err
    done = guarded.hagit("apply", "--yes")
    assert done.code == 1 and "a secret shorter than 32 bytes" in done.err
    assert "10.0.0.2/24" in guarded.addresses("e0"), "the network is applied all the same"
    guarded.start_agent()
    alert = guarded.until_alert("orders-unpublished")
    assert "a secret shorter than 32 bytes" in alert["summary"]
    until(lambda: "could not be published" in guarded.hagit("status").out, guarded.logs)
    assert "orders     not published" in guarded.hagit("status").out
    with_watchdog(guarded)
    guarded.until_alert("orders-unpublished", "resolved")
    assert orders(guarded).generation == 2_000


def test_failover_is_switched_on_on_the_units_that_the_pair_names_only(guarded: Controller) -> None:
    serial = guarded.root / "serial"
    guarded.node.write_text(guarded.node.read_text().replace("[files]", f"[files]\nserial = '{serial}'"))
    pair = guarded.work.path / "pair.yaml"
    text = pair.read_text()
    assert "hostname: shelf-a" in text
    guarded.work.commit(
        "Bind it to two units", pair__yaml=text.replace("hostname: shelf-a", "hostname: shelf-a, serial: S-1")
    )
    assert "and this machine says none" in guarded.hagit("plan").err
    serial.write_text("S-2\n")
    done = guarded.hagit("apply", "--yes")
    assert done.code == 1 and "has the serial number 'S-1', and this machine says 'S-2'" in done.err
    assert not (guarded.state / "orders.json").exists()
    assert "10.0.0.2/24" in guarded.addresses("e0"), "the network is applied all the same"
    guarded.start_agent()
    assert "not the unit that the Pair names" in guarded.until_alert("orders-unpublished")["summary"]
    serial.write_text("S-1\n")
    guarded.until_alert("orders-unpublished", "resolved")
    assert orders(guarded).enabled
    published = guarded.state / "unit.json"
    assert decode_unit(until(lambda: published.exists() and published.read_bytes(), guarded.logs), KEY) == Unit(
        "shelf", Side.A, ("S-1",)
    ), "the watchdog compares it, too"


def test_the_agent_publishes_by_itself(guarded: Controller) -> None:
    guarded.start_agent()
    until_published(guarded, lambda told: told.generation == 2_000)
    change(guarded, ", strict: true")
    assert until_published(guarded, lambda told: told.generation == 3_000).strict
    assert until(lambda: guarded.status().get("orders") == 3_000, guarded.logs)


def test_orders_are_sealed_anew_while_the_secret_is_changed_and_stay_the_same(guarded: Controller) -> None:
    assert guarded.hagit("apply", "--yes").code == 0
    before, file = orders(guarded), guarded.root / "pair.secret"
    new = b"6f" * 32
    for path, secret in ((next_path(file), new), (previous_path(file), SECRET), (file, new)):
        path.write_bytes(secret)
        path.chmod(0o600)
    next_path(file).unlink()
    assert guarded.hagit("apply", "--yes").code == 0
    read = decode_orders((guarded.state / "orders.json").read_bytes(), orders_key(new))
    assert read == before, "the same generation: nothing of it changed"
    previous_path(file).unlink()
    assert guarded.hagit("apply", "--yes").code == 0
    assert decode_orders((guarded.state / "orders.json").read_bytes(), orders_key(new)) == before
