"""`hagit peer` and the hint of `hagit status`, beside a real agent of the other controller."""

import json
from pathlib import Path

import pytest

from reconciler.agent.peer_service import PeerService
from reconciler.cli.application import run
from reconciler.system.node import load_node
from tests.agent.test_peer_service import PAIR, Heads, enrol, heads, served
from tests.wait import until

__all__ = ["heads", "served"]


def peer(node: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    capsys.readouterr()
    code = run(["peer", "--node", str(node), *words])
    return code, capsys.readouterr().out


def test_a_controller_that_is_not_enrolled_says_how(heads: Heads, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = peer(heads.a, capsys)
    assert code == 1 and "is not enrolled" in out and "hagit enroll" in out
    assert json.loads(peer(heads.a, capsys, "-o", "json")[1])["enrolled"] is False


def test_the_peer_its_path_its_clock_and_what_differs(
    heads: Heads, served: PeerService, capsys: pytest.CaptureFixture[str]
) -> None:
    enrol(heads)
    heads.work.commit("Describe", pair__yaml=PAIR.format(b="SERIAL-B"))
    until(lambda: peer(heads.a, capsys)[0] == 0)
    _, out = peer(heads.a, capsys, "--paths")
    assert out.startswith("Controller b, serial 'SERIAL-B', answers")
    assert "path       127.0.0.3, round trip" in out and "clock      as here, within" in out
    document = json.loads(peer(heads.a, capsys, "-o", "json", "--paths")[1])
    assert document["reached"] and document["path"] == "127.0.0.3" and abs(document["clock_s"]) < 5
    assert [path["address"] for path in document["paths"]] == document["addresses"]
    assert document["peer"]["side"] == "b"


def test_a_peer_that_does_not_answer(heads: Heads, capsys: pytest.CaptureFixture[str]) -> None:
    enrol(heads)
    code, out = peer(heads.a, capsys)
    assert code == 1 and "does not answer" in out and "127.0.0.3: Connection refused" in out
    assert load_node(heads.a).peer.port
