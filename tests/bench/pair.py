"""A pair on the testbed for the benchmark: one repository, a node file for each controller, agents, an Alertmanager."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from reconciler.demo.testbed import Machine, Testbed
from tests.bench.stopwatch import HAGIT, ROOT

ALERTMANAGER_PORT: Final = 9093
CLIENT_ADDRESS: Final = "10.77.0.1"
_GIT: Final = ("git", "-c", "user.name=Bench", "-c", "user.email=bench@example.org", "-c", "gc.auto=0")
#: The NICs of the testbed in place of those of the example.
_MACS: Final = {
    "02:00:00:00:0a:01": "02:00:00:00:aa:01",
    "02:00:00:00:0b:01": "02:00:00:00:bb:01",
    "02:00:00:00:0a:02": "02:00:00:00:aa:02",
    "02:00:00:00:0b:02": "02:00:00:00:bb:02",
}


def minimal_pair() -> dict[str, str]:
    """The files of the smallest example, for the NICs of the testbed."""
    text = (ROOT / "examples" / "minimal-pair" / "pair.yaml").read_text()
    return {"pair.yaml": re.sub("|".join(_MACS), lambda found: _MACS[found[0]], text)}


def make_repository(path: Path, files: Mapping[str, str]) -> None:
    """A repository with one commit."""
    path.mkdir(parents=True)
    subprocess.run([*_GIT, "init", "-q", "-b", "main", str(path)], check=True)
    commit(path, files)


def commit(path: Path, files: Mapping[str, str], beginning: Callable[[], object] = lambda: None) -> None:
    """One commit that makes the files what is given. `beginning` is called before `git commit`, after `git add`."""
    for name, text in files.items():
        (path / name).write_text(text)
    subprocess.run([*_GIT, "-C", str(path), "add", "."], check=True)
    beginning()
    subprocess.run([*_GIT, "-C", str(path), "commit", "-q", "-m", "Change the network"], check=True)


def make_node(directory: Path, controller: str, repository: Path, *, listen: bool = False) -> dict[str, str]:
    """A node file; returns the environment in which `hagit` is this controller."""
    directory.mkdir(parents=True)
    (directory / "hostname").write_text("shelf-a\n")
    file = directory / "node.toml"
    listener = '[listen]\naddress = "127.0.0.1"\nport = 0\n' if listen else ""
    file.write_text(
        f'controller = "{controller}"\nstate = "state"\n{"" if listen else "listen = false"}\n'
        f'[source]\nremotes = ["{repository}"]\n[trust]\nunsigned = "accept-without-warning"\n'
        f'[files]\nhostname = "hostname"\nresolver = "resolv.conf"\n{listener}'
    )
    return {"HAGIT_NODE": str(file)}


@contextmanager
def agent(machine: Machine, env: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`hagit agent` on a machine; the process is the agent itself, since nsenter(1) becomes what it runs."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            machine.enter([HAGIT, "agent"]), stdout=output, stderr=output, env={**os.environ, **env}
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextmanager
def alertmanager(testbed: Testbed, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Debian's Alertmanager on the client. It tells each alert that it has taken on standard error, which is a pipe."""
    program = shutil.which("prometheus-alertmanager")
    if program is None:
        sys.exit("bench: the Debian package prometheus-alertmanager is missing; run packaging/prerequisites test")
    directory.mkdir(parents=True)
    configuration = directory / "alertmanager.yml"
    configuration.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    process = subprocess.Popen(
        testbed["client"].enter(
            [
                program,
                f"--config.file={configuration}",
                f"--storage.path={directory / 'data'}",
                f"--web.listen-address={CLIENT_ADDRESS}:{ALERTMANAGER_PORT}",
                "--cluster.listen-address=",
                "--log.level=debug",
            ]
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)
