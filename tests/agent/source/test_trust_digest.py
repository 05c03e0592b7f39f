"""The digest of the trust settings: equal where two controllers trust alike, wherever their files are."""

from pathlib import Path

import pytest

from reconciler.agent.source.trust_policy import trust_digest
from reconciler.system.node import load_node

KEY = "a@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
SCOPES = "[trust.scopes]\n'a@example.org' = ['network']\n'*' = []\n"


def digest(directory: Path, letter: str, signers: str = KEY, scopes: str = "") -> str:
    directory.mkdir()
    (directory / "signers").write_text(signers)
    node = directory / "node.toml"
    lines = [f'controller = "{letter}"', f"state = '{directory / 'state'}'", "[source]", f"remotes = ['{directory}']"]
    node.write_text("\n".join([*lines, "[trust]", "allowed_signers = 'signers'", "unsigned = 'refuse'", scopes]))
    return trust_digest(load_node(node))


def test_controllers_that_trust_alike_have_one_digest(tmp_path: Path) -> None:
    assert digest(tmp_path / "a", "a", scopes=SCOPES) == digest(tmp_path / "b", "b", scopes=SCOPES)


@pytest.mark.parametrize(("signers", "scopes"), [(KEY.replace("a@", "b@"), ""), (KEY, SCOPES)])
def test_another_signer_or_scope_is_another_digest(tmp_path: Path, signers: str, scopes: str) -> None:
    assert digest(tmp_path / "a", "a") != digest(tmp_path / "b", "b", signers, scopes)
