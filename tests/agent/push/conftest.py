"""A controller that hosts its repository: the real agent, sshd with the git user, and clients on its own network."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconciler.system.node import PEER_PORT, load_node
from reconciler.system.peer.identity import write_identity
from reconciler.system.push.sshd_files import shell_script
from tests.controller import PAIR, ROOT, Controller, Done, controller_at
from tests.system.peer.identities import two_identities
from tests.system.repositories import Work
from tests.system.servers import make_key
from tests.wait import DEADLINE_S, until

USER = "hagit-git"
UID = 64_777
PORT = 9_722
#: Makes the git user, and the program that is its shell, on this machine alone.
ACCOUNT = """\
chmod 755 /run
cp /etc/passwd /run/passwd; cp /etc/group /run/group
echo '{user}:*:{uid}:{uid}:hagit push:/:{shell}' >> /run/passwd
echo '{user}:x:{uid}:' >> /run/group
chmod 644 /run/passwd /run/group
mount --bind /run/passwd /etc/passwd; mount --bind /run/group /etc/group
mkdir -p /run/sshd
"""
#: Lets the git user read a Python that is installed below the home directory of root.
READABLE_PYTHON = """\
mkdir /run/python; mount --bind {python} /run/python
mount -t tmpfs -o mode=755 tmpfs /root
mkdir -p {python}; mount --move /run/python {python}
"""
SHELL = Path("/run/hagit-git-shell")


@dataclass
class HostedPair:
    """A controller that hosts its repository at /run/push of its own, and a person with a key."""

    controller: Controller
    key: Path
    server: subprocess.Popen[bytes] | None = None
    pushed: list[Done] = field(default_factory=list)

    @property
    def inside(self) -> Path:
        """The root directory of this machine as the test sees it."""
        return Path(f"/proc/{self.controller.machine.holder.pid}/root")

    @property
    def directory(self) -> Path:
        """The directory of the hosted repository."""
        return self.inside / "run/push"

    @property
    def work(self) -> Work:
        return self.controller.work

    def url(self, path: str = "/pair") -> str:
        return f"ssh://{USER}@127.0.0.1:{PORT}{path}"

    def ssh(self, key: Path | None = None, *options: str) -> list[str]:
        known = self.controller.root / "known_hosts"
        return [
            "ssh", "-F", "none", "-i", str(key or self.key), "-oIdentitiesOnly=yes", "-oIdentityAgent=none",
            f"-oUserKnownHostsFile={known}", "-oStrictHostKeyChecking=accept-new", "-oBatchMode=yes", *options,
        ]  # fmt: skip

    def run(self, *argv: str, key: Path | None = None, stdin: bytes = b"", **environment: str) -> Done:
        """A command of the person, on this machine."""
        fixed = {
            "PATH": "/usr/bin:/bin", "HOME": str(self.controller.root), "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_SSH_COMMAND": " ".join(self.ssh(key)), "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8",
        }  # fmt: skip
        done = subprocess.run(
            self.controller.machine.enter(argv), cwd=self.work.path, env=fixed | environment, input=stdin,
            capture_output=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def push(self, refspec: str = "HEAD:main", *options: str, key: Path | None = None) -> Done:
        """`git push` to this controller."""
        self.pushed.append(self.run("git", "-C", str(self.work.path), "push", *options, self.url(), refspec, key=key))
        return self.pushed[-1]

    def begin_push(self, refspec: str = "HEAD:main", *options: str) -> subprocess.Popen[bytes]:
        """`git push`, while something else happens."""
        argv = ["git", "-C", str(self.work.path), "push", *options, self.url(), refspec]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.controller.root)}
        environment["GIT_SSH_COMMAND"] = " ".join(self.ssh())
        return subprocess.Popen(self.controller.machine.enter(argv), env=environment, stderr=subprocess.PIPE)

    def tip(self, name: str = "heads/main") -> str:
        """What a reference of the hosted repository points to; empty for none."""
        path = self.directory / "pair.git/refs" / name
        return path.read_text().strip() if path.exists() else ""

    def start(self) -> None:
        """Start the agent and sshd, and wait until both answer."""
        self.controller.start_agent()
        until((self.directory / "authorized_keys").exists, self.controller.logs)
        until((self.inside / "run/push.sock").exists, self.controller.logs)
        log = self.controller.root / "sshd.log"
        with log.open("wb") as output:
            self.server = subprocess.Popen(
                self.controller.machine.enter([sys.executable, "-m", "reconciler.system.push.ssh_server"]),
                cwd=ROOT,
                env=self.controller.environment | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stderr=output,
                stdout=output,
            )
        until(lambda: "Server listening" in log.read_text(), log.read_text)

    def reaches(self, address: str) -> bool:
        """Whether an agent listens for this one there."""

        def connect() -> bool:
            try:
                socket.create_connection((address, PEER_PORT), 1.0).close()
            except OSError:
                return False
            return True

        return self.controller.inside(connect)

    def close(self) -> None:
        if self.server is not None:
            self.server.terminate()
            self.server.wait(DEADLINE_S)


@contextlib.contextmanager
def hosted_pair(root: Path, *, letter: str = "a", key: Path | None = None) -> Iterator[HostedPair]:
    """Controller `letter`, which hosts and whose agent does not run yet. `key`: of the person who pushes and signs."""
    with controller_at(root) as controller:
        controller.letter = letter
        machine = controller.machine
        machine.run("sh", "-ec", ACCOUNT.format(user=USER, uid=UID, shell=SHELL))
        script = Path(f"/proc/{machine.holder.pid}/root{SHELL}")
        if sys.base_prefix.startswith("/root/"):
            machine.run("sh", "-ec", READABLE_PYTHON.format(python=sys.base_prefix))
        script.write_text(shell_script())
        script.chmod(0o755)
        key = key or make_key(root / "ada", comment="ada@example.org")
        public = key.with_suffix(".pub").read_text()
        (root / "signers").write_text(f'ada@example.org namespaces="git" {" ".join(public.split()[:2])}\n')
        here, there = ("169.254.10.1", "169.254.10.2") if letter == "a" else ("169.254.10.2", "169.254.10.1")
        controller.write_node(trust=f"allowed_signers = '{root}/signers'", source="branch = 'main'")
        lines = "[push]\ndirectory = '/run/push'\nsocket = '/run/push.sock'\n"
        lines += f"[peer]\naddresses = ['{there}']\nlisten = ['{here}']\n"
        controller.node.write_text(controller.node.read_text() + lines)
        work = controller.work
        for name, value in (("gpg.format", "ssh"), ("user.signingKey", str(key)), ("commit.gpgSign", "true")):
            work.git("config", name, value)
        work.commit("Describe the pair again", pair__yaml=PAIR)
        # The first commit of every repository of these tests is not signed: begin with one that is.
        work.git("checkout", "-q", "--orphan", "fresh")
        work.commit("Describe the pair")
        work.git("branch", "-M", "main")
        pair = HostedPair(controller, key)
        try:
            yield pair
        finally:
            pair.close()


@pytest.fixture
def make_hosted(tmp_path: Path) -> Iterator[Callable[..., HostedPair]]:
    with contextlib.ExitStack() as stack:
        yield lambda name="a", **how: stack.enter_context(hosted_pair(tmp_path / name, **how))


@dataclass
class Enrolled:
    """Both controllers with a cable between them, enrolled, each with its agent and its sshd."""

    a: HostedPair
    b: HostedPair

    def cut(self) -> None:
        """Pull the cable."""
        self.a.controller.ip("link set peer down")

    def mend(self) -> None:
        """Plug the cable in again."""
        self.a.controller.ip("link set peer up")

    def until_equal(self, commit: str) -> None:
        """Wait until both have this commit."""
        until(
            lambda: self.a.tip() == self.b.tip() == commit,
            lambda: (self.a.tip(), self.b.tip(), commit, self.a.controller.logs(), self.b.controller.logs()),
        )


@pytest.fixture
def enrolled(make_hosted: Callable[..., HostedPair]) -> Enrolled:
    """The pair before the first push."""
    a = make_hosted("a")
    b = make_hosted("b", letter="b", key=a.key)
    a.controller.ip(f"link add peer type veth peer name peer netns {b.controller.machine.holder.pid}")
    for pair, number in ((a, 1), (b, 2)):
        pair.controller.ip("link set peer up", f"address add 169.254.10.{number}/24 dev peer")
    for pair, identity in zip((a, b), two_identities(), strict=True):
        write_identity(load_node(pair.controller.node), identity)
    for pair in (a, b):
        pair.start()
    for pair, number in ((a, 2), (b, 1)):
        until(lambda pair=pair, number=number: pair.reaches(f"169.254.10.{number}"), pair.controller.logs)
    return Enrolled(a, b)


@pytest.fixture
def hosted(make_hosted: Callable[..., HostedPair]) -> HostedPair:
    pair = make_hosted()
    pair.start()
    return pair
