"""`hagit secret`: which step is done, which is refused and why, and that no secret is ever printed.

The files are real; what the watchdog says is what each test lets it say. `tests/watchdog/test_secrets.py` has both
for real.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.application import run
from reconciler.core.failover.heartbeats.keyring import fingerprint, fingerprint_text
from reconciler.core.failover.orders.document import orders_document, orders_key
from reconciler.core.status.watchdog import SecretStatus
from reconciler.simulation.timed.stories import PAIR
from reconciler.system.secret import next_path, previous_path
from tests.cli.simulated_pair import SimulatedPair, node_file
from tests.controller import Done
from tests.wait import until

OLD, NEW = b"0a" * 32, b"0b" * 32
OLD_PRINT, NEW_PRINT = fingerprint_text(fingerprint(OLD)), fingerprint_text(fingerprint(NEW))


class SecretOperator:
    """One controller with its files, whose watchdog says what it is told to say."""

    def __init__(self, pair: SimulatedPair, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.pair, self.node, self._capsys = pair, node_file(root, "a"), capsys
        self.state, self.file = root / "a" / "state", root / "a" / "secret"
        self.put(self.file, OLD)

    def put(self, path: Path, secret: bytes) -> None:
        path.write_bytes(secret)
        path.chmod(0o600)

    def says(self, **words: Any) -> None:
        self.pair.daemons["a"].changes["secret"] = SecretStatus(**words)

    def hagit(self, *words: str) -> Done:
        code = run(["secret", "--node", str(self.node), *words])
        shown = self._capsys.readouterr()
        for secret in (OLD, NEW):
            assert secret.decode() not in shown.out + shown.err
        return Done(code, shown.out, shown.err)


@pytest.fixture
def here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[SecretOperator]:
    monkeypatch.setenv("NO_COLOR", "1")
    pair = SimulatedPair(tmp_path)
    made = SecretOperator(pair, tmp_path, capsys)
    made.says(current=OLD_PRINT, peer=OLD_PRINT)
    yield made
    pair.close()


def test_status_shows_fingerprints_and_the_next_step(here: SecretOperator) -> None:
    shown = here.hagit().out
    assert OLD_PRINT in shown and "Next:" not in shown
    here.put(next_path(here.file), NEW)
    here.says(current=OLD_PRINT, accepted=(NEW_PRINT,), peer=OLD_PRINT)
    document = json.loads(here.hagit("-o", "json").out)
    assert document["file"]["next"] == NEW_PRINT
    assert "import" in document["next_step"]


def test_a_new_secret_is_for_root_alone_and_refused_in_the_middle_of_another_change(here: SecretOperator) -> None:
    here.pair.stop("a")
    assert here.hagit("new").code == 0
    path = next_path(here.file)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes().strip()) == 64
    assert "next secret already" in here.hagit("new").err
    path.rename(previous_path(here.file))
    assert "has not been dropped yet" in here.hagit("new").err


def test_import_reads_a_file_and_refuses_what_is_no_new_secret(here: SecretOperator, tmp_path: Path) -> None:
    here.pair.stop("a")
    given = tmp_path / "given"
    given.write_bytes(NEW[:31])
    assert "31 bytes" in here.hagit("import", str(given)).err
    given.write_bytes(OLD + b"\n")
    assert "in use here" in here.hagit("import", str(given)).err
    given.write_bytes(NEW + b"\n")
    assert here.hagit("import", str(given)).code == 0
    assert next_path(here.file).read_bytes().strip() == NEW
    assert here.hagit("import", str(given)).code == 0, "once more changes nothing"
    assert "goes with `import`" in here.hagit("use", str(given)).err
    assert "goes with `import`" in here.hagit("import").err


def test_use_waits_for_the_peer_to_accept(here: SecretOperator) -> None:
    here.put(next_path(here.file), NEW)
    here.says(current=OLD_PRINT, accepted=(NEW_PRINT,), peer=OLD_PRINT)
    until_reported(here, accepted=(NEW_PRINT,), peer_accepts="")
    assert "not known to accept" in here.hagit("use").err
    here.says(current=OLD_PRINT, accepted=(NEW_PRINT,))
    until_reported(here, peer="")
    refused = here.hagit("use")
    assert "is not heard" in refused.err and "--without-peer" in refused.err
    assert here.file.read_bytes() == OLD, "nothing was done"
    here.pair.stop("a")
    (here.pair.daemons["a"].run / "watchdog.json").unlink()
    assert "no watchdog runs here" in here.hagit("use").err
    assert here.hagit("use", "--without-peer").code == 0
    assert here.file.read_bytes().strip() == NEW and previous_path(here.file).read_bytes().strip() == OLD
    assert not next_path(here.file).exists()


def test_drop_waits_for_the_peer_and_for_the_orders(here: SecretOperator) -> None:
    here.put(here.file, NEW)
    here.put(previous_path(here.file), OLD)
    here.says(current=NEW_PRINT, accepted=(OLD_PRINT,), peer=OLD_PRINT, peer_accepts=NEW_PRINT)
    until_reported(here, current=NEW_PRINT, peer=OLD_PRINT)
    assert "not known to use" in here.hagit("drop").err
    here.says(current=NEW_PRINT, peer=NEW_PRINT)
    until_reported(here, peer=NEW_PRINT)
    (here.state / "orders.json").write_bytes(orders_document(PAIR, orders_key(OLD)))
    assert "is not sealed with" in here.hagit("drop").err
    assert previous_path(here.file).exists()
    (here.state / "orders.json").write_bytes(orders_document(PAIR, orders_key(NEW)))
    assert here.hagit("drop").code == 0
    assert not previous_path(here.file).exists() and here.file.read_bytes() == NEW


def test_a_new_secret_is_given_up_unless_the_peer_uses_it(here: SecretOperator) -> None:
    here.put(next_path(here.file), NEW)
    here.says(current=OLD_PRINT, peer=NEW_PRINT)
    until_reported(here, peer=NEW_PRINT)
    assert "uses" in here.hagit("drop").err
    here.says(current=OLD_PRINT, peer=OLD_PRINT)
    until_reported(here, peer=OLD_PRINT)
    assert here.hagit("drop").code == 0
    assert not next_path(here.file).exists()
    assert "only one secret" in here.hagit("drop").err


def until_reported(here: SecretOperator, **words: Any) -> None:
    """Wait until the watchdog has published it."""

    def said() -> bool:
        document = json.loads((here.pair.daemons["a"].run / "watchdog.json").read_bytes())["secret"] or {}
        found = {name: document.get(name) for name in words}
        return found == {name: list(value) if isinstance(value, tuple) else value for name, value in words.items()}

    until(said)
