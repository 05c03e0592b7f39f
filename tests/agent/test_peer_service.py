"""The agent's end of the channel: two node roots on one machine, real sockets between them."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from reconciler.agent.peer_service import PeerService
from reconciler.agent.session import Session
from reconciler.errors import PeerError, PeerErrorCode
from reconciler.system.node import load_node
from reconciler.system.peer.identity import identity_path, write_identity
from tests.ports import kept_port
from tests.system.peer.identities import two_identities
from tests.system.repositories import Work
from tests.wait import until

IDENTITIES = dict(zip("ab", two_identities(), strict=True))
HOSTS = {"a": "127.0.0.2", "b": "127.0.0.3"}
PAIR = """\
apiVersion: hagit/v1
kind: Pair
metadata: {{name: shelf}}
spec:
  a: {{hostname: shelf-a, serial: SERIAL-A}}
  b: {{hostname: shelf-b, serial: {b}}}
---
apiVersion: hagit/v1
kind: Interface
metadata: {{name: storage0}}
spec: {{a: {{match: {{name: s0}}, address: 10.0.0.1/24}}, b: {{match: {{name: s0}}, address: 10.0.0.2/24}}, virtual: {{address: 10.0.0.9/24, vhid: 4}}}}
---
apiVersion: hagit/v1
kind: Interface
metadata: {{name: zz-interlink}}
spec: {{role: interlink, a: {{match: {{name: i0}}, address: 169.254.10.1/24}}, b: {{match: {{name: i0}}, address: 169.254.10.2/24}}}}
"""  # noqa: E501


class Heads(NamedTuple):
    """The node files of both controllers, and the repository that both follow."""

    a: Path
    b: Path
    work: Work


@pytest.fixture
def heads(tmp_path: Path) -> Iterator[Heads]:
    with kept_port() as held:
        port = held.getsockname()[1]
        (tmp_path / "repository").mkdir()
        work = Work(tmp_path / "repository")
        work.git("init", "-q", "-b", "main")
        for side in "ab":
            root = tmp_path / side
            root.mkdir()
            (root / "serial").write_text(f"SERIAL-{side.upper()}\n")
            other = "b" if side == "a" else "a"
            lines = [f"controller = '{side}'", "state = 'state'", "[files]", "serial = 'serial'", "[peer]"]
            lines += [f"port = {port}", f"addresses = ['{HOSTS[other]}']", f"listen = ['{HOSTS[side]}']"]
            lines += ["[source]", f"remotes = ['{work.path}']", "[trust]", "unsigned = 'accept-without-warning'"]
            (root / "node.toml").write_text("\n".join(lines))
        yield Heads(tmp_path / "a/node.toml", tmp_path / "b/node.toml", work)


@pytest.fixture
def served(heads: Heads) -> Iterator[PeerService]:
    """The service of controller b."""
    service = PeerService(load_node(heads.b))
    service.start()
    yield service
    service.close()


def enrol(heads: Heads) -> None:
    for side, path in (("a", heads.a), ("b", heads.b)):
        write_identity(load_node(path), IDENTITIES[side])


def ask(path: Path, timeout_s: float = 5.0) -> PeerError | dict[str, object]:
    with Session(path) as session:
        assert session.peer is not None
        try:
            return dict(session.peer.ask("hello", {}, timeout_s=timeout_s).body)
        except PeerError as error:
            return error


def test_a_pair_that_is_not_enrolled_has_no_peer(heads: Heads, served: PeerService) -> None:
    with Session(heads.a) as session:
        assert session.peer is None


def test_the_service_follows_the_enrolment_and_says_hello(heads: Heads, served: PeerService) -> None:
    enrol(heads)
    said = until(lambda: isinstance(reply := ask(heads.a), dict) and reply)
    assert said["side"] == "b" and said["serial"] == "SERIAL-B" and said["revision"] is None
    assert "hello" in said["requests"]
    identity_path(load_node(heads.b)).unlink()
    until(lambda: isinstance(error := ask(heads.a), PeerError) and error.code is PeerErrorCode.UNREACHABLE)


def test_the_addresses_are_those_of_the_revision_interlinks_first_and_no_virtual_one(heads: Heads) -> None:
    enrol(heads)
    heads.work.commit("Describe", pair__yaml=PAIR.format(b="SERIAL-B"))
    with Session(heads.a) as session:
        session.select()
        assert session.peer is not None
        assert session.peer.addresses == ("169.254.10.2", "10.0.0.2", "127.0.0.3")


def test_another_serial_in_the_pair_is_refused_by_both(heads: Heads, served: PeerService) -> None:
    enrol(heads)
    until(lambda: isinstance(ask(heads.a), dict))
    heads.work.commit("Name another machine", pair__yaml=PAIR.format(b="SERIAL-C"))
    with Session(heads.a) as session:
        session.select()
    error = ask(heads.a)
    assert isinstance(error, PeerError) and error.code is PeerErrorCode.REFUSED
    assert "the enrolled controller b has the serial number 'SERIAL-B', and the Pair names 'SERIAL-C'" in error.what
    # The other side refuses as well, once it has the revision, although this one does not know it.
    (load_node(heads.a).state / "source.json").unlink()
    with Session(heads.b) as session:
        session.select()

    def refusal() -> str:
        said = ask(heads.a)
        return said.what if isinstance(said, PeerError) and said.code is PeerErrorCode.REFUSED else ""

    assert "this controller b has the serial number 'SERIAL-B'" in until(refusal)
