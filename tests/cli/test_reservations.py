"""`hagit reservations` on a simulated shelf: what it shows, what it repairs, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.cli.application import run
from reconciler.cli.new_disks import new_disk_warnings
from reconciler.cli.reservations import DiskReport
from reconciler.cli.reservations import page_lines as screen
from reconciler.core.failover.orders.document import orders_document, orders_key
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.ports import answered
from reconciler.core.failover.reservations.claim import Answer, Command, Verb
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.status.watchdog import PoolStatus, watchdog_document
from reconciler.system.files import write_json
from reconciler.system.machine import boot_id
from reconciler.system.node import load_node
from reconciler.system.reservation.registration_state import Features, RegistrationState
from reconciler.system.shelf.orders_in_force import orders_in_force_document, orders_in_force_path
from reconciler.system.shelf.shared_disk import DiskSurvey
from tests.controller import Done
from tests.standings import standing_of, told
from tests.system.shelf.rig import DISKS, LONG_S, SimulatedRig, claim, orders

Captured = pytest.CaptureFixture[str]
SECRET = "pair-secret-of-more-than-thirty-two-bytes"


class ShelfOperator:
    """A person at both controllers, whose disks are simulated."""

    def __init__(self, root: Path, capsys: Captured) -> None:
        self.root, self._capsys = root, capsys
        self.rig = SimulatedRig(root)
        for side in Side:
            place = root / side
            (place / "run").mkdir(parents=True)
            (place / "state").mkdir()
            (place / "secret").write_text(SECRET)
            (place / "secret").chmod(0o600)
            (place / "node.toml").write_text(
                f'controller = "{side}"\nstate = "state"\nlisten = false\n[watchdog]\nsecret = "secret"\n'
                f'shelf = "{self.rig.url}"\nrun = "run"\ndeadman = false\n'
            )
            sealed = orders_document(orders(side), orders_key(SECRET.encode()))
            (place / "state" / "orders.json").write_bytes(sealed)

    def hagit(self, side: Side, *words: str) -> Done:
        code = run(["reservations", *words, "--node", str(self.root / side / "node.toml")])
        shown = self._capsys.readouterr()
        return Done(code, shown.out, shown.err)

    def watchdog(self, side: Side, phase: str, pools: str) -> None:
        """The watchdog of this side says where it stands."""
        status = standing_of(told(), side)
        # Of a moment that is still to come, so that it is fresh however busy this machine is.
        status = replace(status, phase=phase, pools=PoolStatus(state=pools), at_ms=status.at_ms + 60_000)
        write_json(self.root / side / "run" / "watchdog.json", watchdog_document(status), sync=False)

    def do(self, side: Side, verb: Verb, key: Key, disk: int = 3, victim: Key | None = None) -> Answer:
        return answered(self.rig.open(side)[0], Command(verb, disk, key, victim), LONG_S).answer


@pytest.fixture
def operator(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShelfOperator]:
    monkeypatch.setenv("NO_COLOR", "1")
    made = ShelfOperator(tmp_path, capsys)
    yield made
    made.rig.close()


def test_disks_that_no_controller_holds(operator: ShelfOperator) -> None:
    shown = operator.hagit(Side.A)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("No controller holds the disks; 4 of 4 answer.\n")
    assert " *disk0  no controller holds it, no key is registered" in shown.out
    assert operator.hagit(Side.A, "show", "--detailed-exitcode").code == 0


def test_a_pair_that_is_well(operator: ShelfOperator) -> None:
    claim(operator.rig.open(Side.A)[0], Side.A, 7)
    for side in Side:
        shown = operator.hagit(side, "show", "--detailed-exitcode")
        assert shown.code == 0
        assert shown.out.splitlines()[:2] == ["one's claim 7 holds all of 4 disks, alone.", " *disk0  one's claim 7"]
        assert "  disk3  one's claim 7" in shown.out, "no star: it does not arbitrate"


def test_what_is_wrong_is_named_disk_by_disk(operator: ShelfOperator) -> None:
    claim(operator.rig.open(Side.A)[0], Side.A, 7)
    operator.do(Side.B, Verb.REGISTER, Key(Side.B, 3))
    operator.rig.lose(Side.B, 0)
    shown = operator.hagit(Side.B, "show", "--detailed-exitcode")
    assert shown.code == 2
    assert shown.out.startswith("one's claim 7 holds 3 of 4 disks; 2 of them are not as they should be.\n")
    assert "✗ it does not answer" in shown.out
    assert "✗ two's claim 3 is registered as well and may write to it" in shown.out
    assert "`hagit reservations repair` does" in shown.out


def test_what_all_disks_lack_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    note, obeyed = "forgets its reservation when it loses power", orders(Side.A)

    def shown(*persists: bool | None) -> str:
        """A screen for disks that remember or forget; None: one does not answer."""
        found = [
            DiskSurvey(name, None if it is None else RegistrationState(1), features=Features(it, True, True))
            for name, it in zip(DISKS, persists, strict=True)
        ]
        lines = [DiskReport(obeyed, at, one) for at, one in enumerate(found)]
        for line in lines:
            line.judge(None)
        return "\n".join(screen(obeyed, None, lines))

    assert shown(True, False, True, True).count(f"    ! {note}") == 1
    assert shown(False, False, False, False).count(note) == 1
    assert f"\n ! every disk {note}\n" in shown(False, False, False, False)
    assert f"\n ! every other disk {note}\n" in shown(False, None, False, False)


def test_the_document(operator: ShelfOperator) -> None:
    claim(operator.rig.open(Side.A)[0], Side.A, 7)
    operator.do(Side.B, Verb.REGISTER, Key(None, 0xABC))
    document = operator.hagit(Side.A, "show", "-o", "json").json()
    assert (document["format"], document["well"]) == ("hagit.reservations/1", False)
    assert document["owner"] == {"key": "0x6867010000000007", "controller": "one", "claim": 7, "machine": None}
    last = document["disks"][3]
    assert (last["disk"], last["arbitration"], last["answered"], last["type"]) == ("disk3", False, True, 5)
    assert last["holder"]["claim"] == 7
    assert [entry["key"] for entry in last["registered"]] == ["0xabc", "0x6867010000000007"]
    assert last["problems"] == ["a foreign key 0xabc is registered as well and may write to it"]


def test_repair_on_the_active_controller(operator: ShelfOperator) -> None:
    ours = operator.rig.open(Side.A)[0]
    claim(ours, Side.A, 7)
    operator.do(Side.B, Verb.REGISTER, Key(Side.B, 3))
    operator.do(Side.A, Verb.UNREGISTER, Key(Side.A, 7), disk=2)
    operator.watchdog(Side.A, "active", "all")
    asked = operator.hagit(Side.A, "repair")
    assert (asked.code, asked.err) == (1, "Nothing was done.\n"), "nobody is there to say yes"
    assert "  ~ disk2: take it: no controller holds it\n" in asked.out
    assert "  ~ disk3: remove two's claim 3, which may write to it\n" in asked.out
    done = operator.hagit(Side.A, "repair", "--yes")
    assert (done.code, done.err) == (0, "")
    assert "disk2: done\ndisk3: done\n" in done.out
    assert all(view.registered == {Key(Side.A, 7)} and view.holder == Key(Side.A, 7) for view in ours.look(LONG_S))
    assert operator.hagit(Side.A, "repair").out == "Nothing to repair: every disk is as it should be, seen from here.\n"


def test_a_foreign_key_needs_its_name(operator: ShelfOperator) -> None:
    claim(operator.rig.open(Side.A)[0], Side.A, 7)
    operator.do(Side.B, Verb.REGISTER, Key(None, 0xABC))
    operator.watchdog(Side.A, "active", "all")
    left = operator.hagit(Side.A, "repair", "--yes", "-o", "json").json()
    assert left["left"] == [{"disk": "disk3", "why": "a foreign key 0xabc is registered: --foreign 0xabc removes it"}]
    done = operator.hagit(Side.A, "repair", "--yes", "--foreign", "0xabc", "-o", "json").json()
    assert [entry["disk"] for entry in done["done"]] == ["disk3"]
    for wrong in ("0", "key", "0x10000000000000000", "-1"):
        assert "not a key" in operator.hagit(Side.A, "repair", f"--foreign={wrong}").err


def three_disks(side: Side) -> Orders:
    """Orders that do not name the last disk."""
    whole = orders(side)
    return replace(whole, disks=whole.disks[:3], vdevs=whole.vdevs[:2])


def taken_by_others(operator: ShelfOperator) -> None:
    """The last disk is held by other software, all others by our claim."""
    claim(operator.rig.open(Side.A)[0], Side.A, 7)
    foreign = Key(None, 0xABC)
    assert operator.do(Side.B, Verb.REGISTER, foreign) is Answer.GOOD
    assert operator.do(Side.B, Verb.PREEMPT, foreign, victim=Key(Side.A, 7)) is Answer.GOOD


def test_disks_of_pending_orders_are_shown_and_decide_nothing(operator: ShelfOperator) -> None:
    taken_by_others(operator)
    place = operator.root / Side.A
    newer = replace(orders(Side.A), generation=2, arbitration=(3,))
    (place / "state" / "orders.json").write_bytes(orders_document(newer, orders_key(SECRET.encode())))
    before = operator.hagit(Side.A)
    assert before.out.startswith("a foreign key 0xabc holds 1 of 4 disks"), "no daemon: by the published orders"
    orders_in_force_path(place / "run").write_bytes(orders_in_force_document(three_disks(Side.A), boot_id()))
    shown = operator.hagit(Side.A)
    assert shown.out.startswith("one's claim 7 holds 3 of 4 disks; 1 of them is not as it should be.\n")
    assert "! only newer orders name it, and they are pending" in shown.out
    operator.watchdog(Side.A, "active", "all")
    left = operator.hagit(Side.A, "repair", "--yes", "-o", "json").json()["left"]
    why = "held by a foreign key 0xabc: --foreign 0xabc takes the disk from it"
    assert left == [{"disk": "disk3", "why": why}]
    done = operator.hagit(Side.A, "repair", "--yes", "--foreign", "0xabc", "-o", "json").json()
    assert [entry["disk"] for entry in done["done"]] == ["disk3"]
    assert operator.rig.open(Side.A)[0].look(LONG_S)[3].holder == Key(Side.A, 7)


def test_a_plan_names_new_disks_that_cannot_be_taken(operator: ShelfOperator) -> None:
    taken_by_others(operator)
    for side in Side:
        place = operator.root / side
        (place / "state" / "orders.json").write_bytes(orders_document(three_disks(side), orders_key(SECRET.encode())))
        node = load_node(place / "node.toml")
        (warning,) = new_disk_warnings(node, orders(side))
        assert "cannot take every new disk: disk3 is held by foreign/0xabc; until it can" in warning
        assert new_disk_warnings(node, three_disks(side)) == new_disk_warnings(node, None) == ()
    operator.rig.lose(Side.A, 3)
    (warning,) = new_disk_warnings(load_node(operator.root / Side.A / "node.toml"), orders(Side.A))
    assert "disk3 is silent" in warning


def test_repair_on_the_standby_gives_up_its_own(operator: ShelfOperator) -> None:
    claim(operator.rig.open(Side.A)[0], Side.A, 7)
    operator.do(Side.B, Verb.REGISTER, Key(Side.B, 3))
    operator.watchdog(Side.B, "standby", "none")
    done = operator.hagit(Side.B, "repair", "--yes")
    assert (done.code, done.err) == (0, "")
    assert "give up two's claim 3, which may write to it" in done.out
    assert operator.rig.open(Side.A)[0].look(LONG_S)[3].registered == {Key(Side.A, 7)}


def test_without_a_watchdog_only_where_no_pool_is_imported(operator: ShelfOperator) -> None:
    shelf, house = operator.rig.open(Side.A)
    claim(shelf, Side.A, 7)
    assert house.import_(LONG_S)
    refused = operator.hagit(Side.A, "repair", "--yes")
    assert refused.code == 1
    assert refused.err.startswith("hagit: nothing is repaired: pools are imported here, or may be (all)")
    assert all(view.holder == Key(Side.A, 7) for view in shelf.look(LONG_S))


def test_nothing_while_the_watchdog_is_at_work(operator: ShelfOperator) -> None:
    operator.watchdog(Side.A, "claiming", "none")
    refused = operator.hagit(Side.A, "repair", "--yes")
    assert (refused.code, refused.out) == (1, "")
    assert "the watchdog is claiming the disks" in refused.err


def test_without_orders_or_with_damaged_ones(operator: ShelfOperator) -> None:
    path = operator.root / "a" / "state" / "orders.json"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"disk0", b"disk9"))
    assert "the orders cannot be used" in operator.hagit(Side.A).err
    path.unlink()
    shown = operator.hagit(Side.A)
    assert (shown.code, "there are no orders yet" in shown.err) == (1, True)


def test_without_a_watchdog_in_the_node_file(operator: ShelfOperator) -> None:
    (operator.root / "a" / "node.toml").write_text('controller = "a"\n')
    shown = operator.hagit(Side.A)
    assert (shown.code, "this controller has no watchdog" in shown.err) == (1, True)


def test_real_disks_that_are_not_there(operator: ShelfOperator, tmp_path: Path) -> None:
    path = operator.root / "a" / "node.toml"
    path.write_text(path.read_text().replace(operator.rig.url, f"disks:{tmp_path}/by-id"))
    shown = operator.hagit(Side.A, "show", "--detailed-exitcode")
    assert (shown.code, shown.err) == (2, "")
    assert "No controller holds the disks; 0 of 4 answer." in shown.out
    flat = " ".join(shown.out.split())
    assert "by-id/disk0 does not exist: the disk is absent, or its name is wrong" in flat
    document = operator.hagit(Side.A, "-o", "json")
    assert json.loads(document.out)["disks"][0]["answered"] is False
