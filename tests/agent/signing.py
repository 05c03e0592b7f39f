"""SSH keys outside the repository, and commits signed with them."""

from __future__ import annotations

from tests.controller import Controller
from tests.system.servers import make_key


class Signing:
    """Keys outside the repository, and commits made with them."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.folder = controller.root / "keys"
        self.folder.mkdir()
        self.signers = self.folder / "allowed_signers"
        lines = []
        for name, options in (("ada", ""), ("old", ' valid-before="20200101"')):
            key = make_key(self.folder / name)
            lines.append(f'{name}@example.org namespaces="git"{options} {key.with_suffix(".pub").read_text()}')
        make_key(self.folder / "stranger")
        self.signers.write_text("".join(lines))

    def commit(self, name: str, message: str, text: str, **environment: str) -> str:
        """A commit signed with the key of this name."""
        work = self._controller.work
        work.write("net.yaml", text.encode())
        work.git("add", "-A")
        key = f"user.signingkey={self.folder / name}"
        work.git("-c", "gpg.format=ssh", "-c", key, "commit", "-q", "-S", "--allow-empty", "-m", message, **environment)
        return work.git("rev-parse", "HEAD")
