"""`hagit timeline` of a simulated pair, and of files that are damaged."""

from __future__ import annotations

from tests.cli.simulated_pair import MakeOperator


def test_the_timeline_of_a_switchover(operator_of: MakeOperator) -> None:
    operator = operator_of()
    assert operator.hagit("a", "timeline").out.startswith("Events (")
    assert operator.hagit("a", "switchover").code == 0
    there, here = operator.hagit("b", "timeline").out, operator.hagit("a", "timeline").out
    assert "switchover, taken over here: served again after" in there
    assert "(detection 0 ms, claim" in " ".join(there.split())
    assert "standby → claiming: the peer has released the pools" in there
    assert "switchover, released here: served again after" in here
    assert "the peer says that it is active" in here
    # A controller whose daemon is down still knows.
    operator.pair.stop("a")
    assert operator.hagit("a", "timeline").out == here
    document = operator.hagit("b", "timeline", "-o", "json", "-n", "2").json()
    assert len(document["events"]) == 2
    (move,) = document["failovers"]
    assert move["total_ms"] == move["detection_ms"] + move["claim_ms"] + move["import_ms"] + move["addresses_ms"]


def test_a_timeline_of_nothing_and_of_rubbish(operator_of: MakeOperator) -> None:
    operator = operator_of()
    path = operator.root / "a" / "state" / "watchdog" / "timeline.jsonl"
    operator.pair.stop("a")
    path.unlink(missing_ok=True)
    assert "Nothing has happened yet" in operator.hagit("a", "timeline").out
    path.write_bytes(b'\xff\n{}\n[]\n{"at":1}\nnull\n' + b"[" * 9_000 + b"\n")
    assert "Nothing has happened yet" in operator.hagit("a", "timeline").out
