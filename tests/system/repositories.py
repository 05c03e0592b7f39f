"""Real repositories made by the real git."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from reconciler.system.git.remote import Access, Remote


@dataclass
class Work:
    """A repository with a worktree, driven by the git command."""

    path: Path

    def git(self, *arguments: str, **environment: str) -> str:
        fixed = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.org",
            "GIT_ALLOW_PROTOCOL": "file",
        }
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=fixed | environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, message: str = "change", **files: str) -> str:
        """Commit files, named with `__` for `.`; the full id."""
        for name, content in files.items():
            self.write(name.replace("__", "."), content.encode())
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def write(self, name: str, content: bytes) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_bytes(content)

    def remote(self, name: str = "", access: Access | None = None) -> Remote:
        return Remote(str(self.path), name, access or Access())
