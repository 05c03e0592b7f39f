"""`hagit explain` and `hagit schema`; the page about the node file is a node file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from reconciler.cli.application import COMMANDS, run
from tests.controller import ROOT, interface

STORAGE = interface("storage0", "10.0.0.1/24", nic="e0")
NAMES = [name for name, *_ in COMMANDS]


def test_explain_and_schema(capsys: pytest.CaptureFixture[str]) -> None:
    for field in ("", "interface", "interface.mtu", "Interface.virtual.vhid", "node"):
        assert run(["explain", field] if field else ["explain"]) == 0
        shown = capsys.readouterr().out
        assert shown.endswith("\n") and not shown.endswith("\n\n\n")
    assert run(["explain", "interface.mtv"]) == 1
    assert "mtu" in capsys.readouterr().err
    assert run(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((ROOT / "schema" / "hagit.schema.json").read_text())


def test_the_page_of_the_node_file_is_a_node_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line of it can be written so."""
    from reconciler.system.node import load_node

    run(["explain", "node"])
    page = capsys.readouterr().out
    lines = [line.strip() for line in page.splitlines() if re.match(r"^  (\[[\w.]+\]|(\w+|\"[^\"]+\") = )", line)]
    value = r"^(\[[\w.]+\]|(?:\w+|\"[^\"]+\") = (?:\"[^\"]*\"|\[[^\]]*\]|\w+)).*$"
    text = "\n".join(re.sub(value, r"\1", line) for line in lines if not line.startswith("listen = false"))
    (tmp_path / "node.toml").write_text(text)
    node = load_node(tmp_path / "node.toml")
    assert node.controller == "a"
    assert node.trust.keyring == tmp_path / "keys.gpg"
    assert node.trust.scopes is not None and node.trust.scopes.of({"net@example.org"}) == {"network"}
    assert ("agent", "fence_ipmilan") in node.power_for
    assert node.listen is not None and node.listen.hook_secret == tmp_path / "hook.secret"
