"""Servers on the loopback for the tests: a real sshd, and one that accepts and never says a word."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def make_key(path: Path, kind: str = "ed25519", comment: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", comment, "-f", str(path)], check=True)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class SecureShell:
    """A running sshd: where it listens, its host key, the key it lets in."""

    port: int
    host_key: Path
    client_key: Path

    def url(self, path: Path) -> str:
        return f"ssh://root@127.0.0.1:{self.port}{path}"

    def known(self, file: Path, key: Path | None = None) -> Path:
        """Write a known_hosts with this server's key, or with another."""
        public = " ".join((key or self.host_key).with_suffix(".pub").read_text().split()[:2])
        file.write_text(f"[127.0.0.1]:{self.port} {public}\n")
        return file


@contextmanager
def ssh_server(directory: Path) -> Iterator[SecureShell]:
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    server = SecureShell(free_port(), make_key(directory / "host"), make_key(directory / "client"))
    config = directory / "sshd_config"
    config.write_text(
        f"Port {server.port}\nListenAddress 127.0.0.1\nHostKey {server.host_key}\nPidFile none\nStrictModes no\n"
        f"UsePAM yes\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"AuthorizedKeysFile {server.client_key}.pub\n"
    )
    daemon = subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-e", "-f", str(config)], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    assert daemon.stderr is not None
    seen = []
    for line in daemon.stderr:
        seen.append(line)
        if "Server listening" in line:
            break
    else:
        raise AssertionError("".join(seen))
    drain = threading.Thread(target=daemon.stderr.read, daemon=True)
    drain.start()
    try:
        yield server
    finally:
        daemon.terminate()
        daemon.wait(10)
        drain.join(10)
        daemon.stderr.close()


@contextmanager
def silent_server(greeting: bytes = b"", drip: bytes = b"") -> Iterator[int]:
    """A port that accepts, says at most `greeting`, and then nothing for ever, or `drip` ten times a second."""
    held: list[socket.socket] = []
    closing = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.sendall(greeting)
                held.append(connection)
                while drip and not closing.wait(0.1):
                    try:
                        connection.sendall(drip)
                    except OSError:
                        break

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            closing.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for connection in held:
                connection.close()
