"""SSH public keys: which lines may stand in a list of keys."""

from __future__ import annotations

import pytest

from reconciler.core.facts.ssh_public_key import SshPublicKey, allowed_signers, public_key

BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIJ8UQOrB6WYG2LNAWdPYkQDbXbQyxmJAJj4hTTgCzMDh"
LINE = f"ssh-ed25519 {BLOB} ada@example.org"


def test_a_line_of_a_public_key_file_is_a_key() -> None:
    key = public_key(LINE)
    assert key == SshPublicKey("ssh-ed25519", BLOB, "ada@example.org")
    assert str(key) == LINE
    assert key.fingerprint.startswith("SHA256:") and len(key.fingerprint) == 50


@pytest.mark.parametrize(
    "line",
    [
        "", "ssh-ed25519", BLOB, f"ssh-rsa {BLOB}", f"ssh-ed25519 {BLOB[:-4]}!", "ssh-ed25519 AAAA", f"ssh-dss {BLOB}",
        f'command="id" {LINE}', f"ssh-ed25519 {BLOB} a\nssh-ed25519 {BLOB}", f'ssh-ed25519 {BLOB} "quoted"',
        f"ssh-ed25519 {BLOB} {'x' * 200}", f"ssh-ed25519-cert-v01@openssh.com {BLOB}", "x" * 10_000,
    ],
)  # fmt: skip
def test_other_lines_are_no_key(line: str) -> None:
    assert isinstance(public_key(line), str)


def test_signers_are_read_with_their_principals() -> None:
    text = (
        f'# a comment\n\nada@example.org,root {LINE}\nben namespaces="git" ssh-ed25519 {BLOB}\n'
        f'*@example.org cert-authority ssh-ed25519 {BLOB}\nold valid-before="2020" ssh-ed25519 {BLOB}\nbroken\n'
    )
    assert [principals for principals, _ in allowed_signers(text)] == ["ada@example.org,root", "ben"]
