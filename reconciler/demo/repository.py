"""The files of the demonstration: the desired state in git, two node files, and the key that signs the commits."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path
from typing import Final

from reconciler.system.node_text import render_node

OPERATOR: Final = "operator@pair.example"
HOOK: Final = "http://10.77.0.1:8080/alerts"

DESIRED: Final = """\
apiVersion: hagit/v1
kind: Pair
metadata: {name: demo}
spec:
  a: {hostname: storage-a}
  b: {hostname: storage-b}
  virtualHostname: storage
---
apiVersion: hagit/v1
kind: Interface
metadata: {name: management}
spec:
  a: {match: {mac: "02:00:00:00:aa:00"}, address: 10.77.0.11/24}
  b: {match: {mac: "02:00:00:00:bb:00"}, address: 10.77.0.12/24}
---
apiVersion: hagit/v1
kind: Interface
metadata: {name: data}
spec:
  a: {match: {mac: "02:00:00:00:aa:01"}, address: 10.77.1.11/24}
  b: {match: {mac: "02:00:00:00:bb:01"}, address: 10.77.1.12/24}
---
apiVersion: hagit/v1
kind: Interface
metadata: {name: interlink}
spec:
  role: interlink
  a: {match: {mac: "02:00:00:00:aa:02"}, address: 169.254.10.1/30}
  b: {match: {mac: "02:00:00:00:bb:02"}, address: 169.254.10.2/30}
---
apiVersion: hagit/v1
kind: Alerting
metadata: {name: alerts}
spec:
  webhooks:
    - {url: "%s", secretFile: "%s"}
  drift:
    kinds: {Interface: heal}
"""

#: Added in the second half: the virtual address, the pool, and the failover policy.
VIRTUAL: Final = """\
  critical: true
  failoverGroup: 1
  virtual: {address: 10.77.1.10/24, vhid: 20}
"""
FAILOVER: Final = """\
---
apiVersion: hagit/v1
kind: Pool
metadata: {name: tank}
spec:
  vdevs:
    - {type: mirror, disks: [disk0, disk1]}
    - {type: mirror, disks: [disk2, disk3]}
---
apiVersion: hagit/v1
kind: Failover
metadata: {name: failover}
spec:
  enabled: true
  arbitration: [disk0, disk1, disk2]
  # Three failovers an hour are enough for real pairs; this one has a hard life.
  budget: {moves: 100, per: 1h}
  resets: {count: 100, per: 1h}
"""
DISKS: Final = ("disk0", "disk1", "disk2", "disk3")
SECRET_BYTES: Final = 32


class Repository:
    """The git repository of the pair and all other files of the demonstration, in one directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "pair"
        self.secret = root / "hook.secret"
        self.key = root / "operator"
        self.signers = root / "allowed_signers"
        self.file = self.path / "pair.yaml"
        self.shelf = root / "shelf.sock"

    def make(self) -> None:
        """Write all files and make the first commit."""
        self.secret.write_text(secrets.token_hex(32) + "\n")
        self.secret.chmod(0o600)
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", OPERATOR, "-f", str(self.key))
        public = self.key.with_suffix(".pub").read_text().split()
        self.signers.write_text(f'{OPERATOR} namespaces="git" {public[0]} {public[1]}\n')
        _run("git", "init", "-q", "-b", "main", str(self.path))
        self.file.write_text(DESIRED % (HOOK, self.secret))
        self.commit("Two controllers, three networks")
        for controller in ("a", "b"):
            self._make_node(controller)

    def node(self, controller: str) -> Path:
        """The node file of a controller."""
        return self.root / controller / "node.toml"

    def commit(self, message: str) -> str:
        """Sign and commit all changes; returns the short commit id."""
        git = ["git", "-C", str(self.path)]
        _run(*git, "add", "-A")
        signing = ["-c", "gpg.format=ssh", "-c", f"user.signingkey={self.key}"]
        author = ["-c", "user.name=Operator", "-c", f"user.email={OPERATOR}"]
        _run(*git, *signing, *author, "commit", "-q", "-S", "-m", message)
        return _run(*git, "rev-parse", "--short=7", "HEAD").strip()

    def replace(self, old: str, new: str) -> None:
        """Replace a text that stands exactly once in the desired state."""
        text = self.file.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {self.file}"
        self.file.write_text(text.replace(old, new))

    def add(self, text: str) -> None:
        """Append documents to the desired state."""
        self.file.write_text(self.file.read_text() + text)

    def configure_watchdogs(self) -> None:
        """Add a watchdog to both node files: the shared secret, and the paths of shelf, deadman and run directory."""
        secret = self.root / "pair.secret"
        secret.write_text(secrets.token_hex(SECRET_BYTES) + "\n")
        secret.chmod(0o600)
        values = {"secret": str(secret), "shelf": f"simulated:{self.shelf}", "run": "run", "deadman": "deadman.sock"}
        table = render_node({"watchdog": {**values, "group": "root"}}).partition("\n")[2]
        for controller in ("a", "b"):
            with self.node(controller).open("a") as file:
                file.write(table)

    def _make_node(self, controller: str) -> None:
        home = self.root / controller
        home.mkdir()
        (home / "hostname").write_text("localhost\n")
        (home / "resolv.conf").write_text("")
        values = {
            "controller": controller,
            "state": "state",
            "source": {"remotes": [str(self.path)]},
            "trust": {"allowed_signers": str(self.signers)},
            "alerts": {"secrets": str(self.root)},
            "files": {"hostname": "hostname", "resolver": "resolv.conf"},
        }
        self.node(controller).write_text(render_node(values))


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout
