"""Servers on the loopback for the tests: a real sshd, git over https, and one that accepts and never says a word."""

import base64
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.ports import kept_port


def make_key(path: Path, kind: str = "ed25519", comment: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", comment, "-f", str(path)], check=True)
    return path


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
    held = kept_port()
    server = SecureShell(held.getsockname()[1], make_key(directory / "host"), make_key(directory / "client"))
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
        held.close()


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


@dataclass
class Https:
    """A running https server of git repositories: where it listens and the certificate that signs itself."""

    port: int
    certificate: Path
    #: The Authorization of every request, empty where it had none.
    asked: list[str]

    def url(self, path: Path, host: str = "localhost") -> str:
        return f"https://{host}:{self.port}{path}"


@contextmanager
def https_server(
    directory: Path, token: str = "", stalls: bool = False, name: str = "localhost", redirects: str = ""
) -> Iterator[Https]:
    """Serves every repository by `git http-backend`.

    `stalls`: sends an endless header, a little at a time. `redirects`: sends every request on to this server.
    """
    asked: list[str] = []
    certificate, key = directory / "server.pem", directory / "server.key"
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    argv = ["openssl", "req", "-x509", *curve, "-nodes", "-days", "2", *subject, "-keyout", key, "-out", certificate]
    subprocess.run(argv, check=True, capture_output=True)
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            asked.append(self.headers["Authorization"] or "")
            if redirects:
                self.send_response(302)
                self.send_header("Location", redirects + self.path)
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif token and self.headers["Authorization"] != "Basic " + base64.b64encode(token.encode()).decode():
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif stalls:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not closing.wait(0.1):
                    try:
                        self.wfile.write(b"x")
                    except OSError:
                        return
            else:
                self._backend()

        do_POST = do_GET  # noqa: N815

        def _backend(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            path, _, query = self.path.partition("?")
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": "/",
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers["Content-Type"] or "",
                "CONTENT_LENGTH": str(len(body)),
            }
            done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self.send_response(int(fields.pop("Status", "200").split()[0]))
            for name, value in fields.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that turns its back is what these tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Https(server.server_address[1], certificate, asked)
    finally:
        closing.set()
        server.shutdown()
        thread.join(10)
        server.server_close()
