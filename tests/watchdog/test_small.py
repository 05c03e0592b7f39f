"""The daemon stays small: what it loads, what it keeps in memory, and what it says to systemd."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from select import select

from tests.wait import until
from tests.watchdog.pair import ROOT, Pair

#: Nothing of these may come into the daemon or its children: they are large, and none of its business.
HEAVY = (
    "pydantic",
    "ruamel",
    "pygit2",
    "typer",
    "click",
    "rich",
    "pyroute2",
    "prometheus_client",
    "apprise",
    "asyncio",
)
OWN = ("reconciler.core.spec", "reconciler.core.planning", "reconciler.system.git", "reconciler.agent")
MEMORY_KB_MAX = 40_000


def loaded(directory: Path, pid: int) -> str:
    """Every file that a process has mapped."""
    return Path(f"/proc/{pid}/maps").read_text()


def test_nothing_heavy_is_imported() -> None:
    """Modules after the imports of a whole start, workers included."""
    script = (
        "import sys; sys.argv = ['hagit', 'watchdog', '-h']\n"
        "import reconciler.watchdog.fork_server\n"
        "from reconciler.cli.entry import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = done.stderr.split()
    assert "reconciler.watchdog.main" in modules
    bad = [name for name in modules if name.partition(".")[0] in HEAVY or name.startswith(OWN)]
    assert not bad, bad


def test_a_running_daemon_is_small_and_its_memory_is_locked(pair: Pair) -> None:
    pair.settle()
    assert pair.a.daemon is not None
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pair.a.daemon.pid}/status").read_text().splitlines() if ":" in line
    )
    assert int(status["VmRSS"].split()[0]) < MEMORY_KB_MAX
    assert int(status["VmLck"].split()[0]) > 0
    assert os.sched_getscheduler(pair.a.daemon.pid) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR
    mapped = loaded(pair.root, pair.a.daemon.pid)
    assert not [name for name in ("pydantic_core", "_pygit2", "libgit2", "ruamel") if name in mapped]


def test_systemd_hears_that_it_is_ready_and_alive(tmp_path: Path, pair: Pair) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        pair.a.environment |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "4000000"}
        pair.a.boot()
        heard: list[str] = []
        while heard.count("WATCHDOG=1") < 3 or "READY=1" not in heard:
            heard.append(systemd.recv(4_096).decode())
        assert heard.index("READY=1") < heard.index("WATCHDOG=1") or "STATUS=" in heard[0]

        def hear() -> None:
            while select([systemd], [], [], 0)[0]:
                heard.append(systemd.recv(4_096).decode())

        # Heard all the while: what nobody takes fills the socket, and the daemon waits for nobody.
        pair.until(lambda: hear() or pair.a.phase == "active")
        pair.a.stop()
        while "STOPPING=1" not in heard:
            heard.append(systemd.recv(4_096).decode())
    assert any(line.startswith("STATUS=MASTER (active)") for line in heard)


def test_a_second_daemon_on_the_same_controller_is_refused(pair: Pair) -> None:
    pair.a.boot()
    until(lambda: pair.a.phase)
    done = subprocess.run(
        pair.a.room.enter(sys.executable, "-m", "reconciler.cli.entry", "watchdog", "--node", str(pair.a.node)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1 and "locked by hagit watchdog" in done.stderr
    assert pair.a.daemon is not None and pair.a.daemon.poll() is None
