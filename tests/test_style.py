"""The rules of the rings, read from the source with `ast`: who may import whom, and what the core may never do."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "reconciler"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# First match wins. `may` lists prefixes inside the package, `third` the other libraries; None means no limit.
BASE = ["reconciler.errors", "reconciler.printing", "reconciler.units", "reconciler.__version__"]
RINGS: list[tuple[str, list[str] | None, list[str] | None]] = [
    ("reconciler.core.facts", ["reconciler.core.facts"], []),
    (
        "reconciler.core.spec",
        [
            "reconciler.core.facts",
            "reconciler.core.spec",
            "reconciler.core.failover.orders.orders",
            "reconciler.core.failover.reservations.key",
            "reconciler.core.failover.orders.safety_checks",
            "reconciler.core.power",
            "reconciler.core.shares.shares",
        ],
        ["pydantic", "pydantic_core", "ruamel"],
    ),
    ("reconciler.core.planning", ["reconciler.core.facts", "reconciler.core.planning"], []),
    ("reconciler.core.failover", ["reconciler.core.facts", "reconciler.core.failover"], []),
    (
        "reconciler.core.power",
        ["reconciler.core.facts", "reconciler.core.failover", "reconciler.core.power"],
        [],
    ),
    (
        "reconciler.core.shares",
        ["reconciler.core.facts", "reconciler.core.failover", "reconciler.core.shares"],
        [],
    ),
    ("reconciler.core.status", ["reconciler.core.facts", "reconciler.core.status"], []),
    (
        "reconciler.core.alerts",
        ["reconciler.core.facts", "reconciler.core.planning", "reconciler.core.status", "reconciler.core.alerts"],
        [],
    ),
    ("reconciler.core.rollout", ["reconciler.core.facts", "reconciler.core.planning", "reconciler.core.rollout"], []),
    ("reconciler.core.push", ["reconciler.core.facts", "reconciler.core.push"], []),
    ("reconciler.core.peer", ["reconciler.core.peer"], []),
    ("reconciler.core", ["reconciler.core"], []),
    ("reconciler.simulation", ["reconciler.core", "reconciler.simulation"], []),
    (
        "reconciler.system",
        [
            "reconciler.core.facts",
            "reconciler.core.failover",
            "reconciler.core.power",
            "reconciler.core.shares",
            "reconciler.core.status",
            "reconciler.core.alerts",
            "reconciler.core.push",
            "reconciler.core.peer",
            "reconciler.system",
        ],
        None,
    ),
    (
        "reconciler.watchdog",
        [
            "reconciler.core.facts",
            "reconciler.core.failover",
            "reconciler.core.power",
            "reconciler.core.shares",
            "reconciler.core.status",
            "reconciler.core.watchdog_status",
            "reconciler.watchdog",
            "reconciler.system.addresses",
            "reconciler.system.secret_watcher",
            "reconciler.system.file_thread",
            "reconciler.system.atomic_file",
            "reconciler.system.carp",
            "reconciler.system.clock",
            "reconciler.system.control",
            "reconciler.system.deadman",
            "reconciler.system.files",
            "reconciler.system.machine",
            "reconciler.system.findings",
            "reconciler.system.frames",
            "reconciler.system.message_stream",
            "reconciler.system.node",
            "reconciler.system.power",
            "reconciler.system.process_protection",
            "reconciler.system.control_protocol",
            "reconciler.system.secret",
            "reconciler.system.shares",
            "reconciler.system.shelf",
            "reconciler.system.streams",
            "reconciler.system.systemd_notifier",
        ],
        [],
    ),
    (
        "reconciler.agent",
        ["reconciler.core", "reconciler.system", "reconciler.agent"],
        ["prometheus_client"],
    ),
    (
        "reconciler.cli",
        [
            "reconciler.core",
            "reconciler.simulation",
            "reconciler.system",
            "reconciler.cli",
            # The library of the commands: the engine, a rollback, the status; and the two daemons themselves.
            "reconciler.agent.session",
            "reconciler.agent.pair_plans",
            "reconciler.agent.rollout_record",
            "reconciler.agent.rollback",
            "reconciler.agent.status_reader",
            "reconciler.agent.daemon",
            "reconciler.watchdog.main",
            # `hagit adopt` leaves the memory that the next watchdog starts from.
            "reconciler.watchdog.durable_state",
        ],
        ["typer"],
    ),
    ("reconciler", None, None),
]
#: Which module of `system` may use which library.
OWN_PACKAGE = {
    "pygit2": "git", "watchdog": "file_watch", "pyroute2": "netlink", "apprise": "alerts", "dns": "names",
    "jeepney": "names", "cryptography": "peer", "spake2": "peer", "pyrage": "backup",
}  # fmt: skip
BANNED_IN_CORE = {
    "os", "io", "socket", "subprocess", "time", "random", "threading", "asyncio", "logging", "datetime", "pathlib",
    "tempfile", "shutil", "sys", "signal", "multiprocessing", "urllib", "http", "secrets", "uuid",
}  # fmt: skip
BANNED_CALLS = {"open", "print", "input", "exec", "eval", "breakpoint"}
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
STDLIB = __import__("sys").stdlib_module_names


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found.append((node.module or "", node.lineno))
    return found


def inside(module: str, prefixes: list[str]) -> bool:
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_obey_the_rings(path: Path) -> None:
    module = name_of(path)
    _, may, third = next(ring for ring in RINGS if inside(module, [ring[0]]))
    for imported, line in imports_of(path):
        place = f"{path.relative_to(ROOT)}:{line}"
        top = imported.partition(".")[0]
        if top == "reconciler":
            assert may is None or inside(imported, may + BASE) or imported == "reconciler", f"{place}: {imported}"
        elif top not in STDLIB:
            assert third is None or top in third, f"{place}: {imported}"
            owner = OWN_PACKAGE.get(top)
            if module.startswith("reconciler.system"):
                assert owner is None or module.split(".")[2] == owner, f"{place}: {top} belongs to system/{owner}"


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "core").rglob("*.py")) + sorted((PACKAGE / "simulation").rglob("*.py")), ids=name_of
)
def test_the_core_touches_nothing(path: Path) -> None:
    allowed = {"random"} if path.is_relative_to(PACKAGE / "simulation") and path.stem.startswith("swarm") else set()
    for imported, line in imports_of(path):
        top = imported.partition(".")[0]
        assert top not in BANNED_IN_CORE - allowed, f"{path.relative_to(ROOT)}:{line}: {imported}"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in BANNED_CALLS, f"{path.relative_to(ROOT)}:{node.lineno}: {node.func.id}()"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_small_and_named_for_nouns(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert path.stem not in BANNED_NAMES
    assert ast.get_docstring(tree), "a module opens with what it decides"
    assert len(text.splitlines()) <= 400, "too long to read in one sitting"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 70, f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {length} lines"


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_no_test_patches(path: Path) -> None:
    for imported, line in imports_of(path):
        assert not imported.startswith(("unittest.mock", "mock", "pytest_mock")), f"{path.relative_to(ROOT)}:{line}"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            assert not (node.attr == "setattr" and ast.unparse(node.value) == "monkeypatch"), f"{place}: patches"
            assert not (node.attr == "sleep" and ast.unparse(node.value) == "time"), f"{place}: sleeps"


# Names.

#: Words in -ing and -ed that are nouns of the field. Any other is a participle and does not say what a module holds.
NOUNS = {
    "alerting", "fencing", "framing", "keyring", "ping", "printing", "routing", "setting", "signing", "string",
    "testbed", "timing", "wording",
}  # fmt: skip
#: Participles that stand before their noun: `pending_orders` says what it holds.
ADJECTIVES = {"pending"}


def named_by_a_participle(path: Path) -> bool:
    """Whether the module's noun is missing: its last word ends in -ing or -ed, or its first word is a verb in -ing."""
    first, *_, last = [*path.stem.split("_"), path.stem.split("_")[-1]]
    verb = first.endswith("ing") and first not in NOUNS | ADJECTIVES
    return verb or (last.endswith(("ing", "ed")) and last not in NOUNS)


def test_no_module_is_named_by_a_participle() -> None:
    helpers = [path for path in TESTS if not path.stem.startswith("test_")]
    found = {
        str(path.relative_to(ROOT).with_suffix("")).removeprefix("reconciler/")
        for path in [*MODULES, *helpers]
        if named_by_a_participle(path)
    }
    assert not found, "name a module by what it holds: `reservations`, `loader`"


def public_classes() -> dict[str, set[str]]:
    """Every public class at the top of a module of the package: its name, and the modules that define one."""
    found: dict[str, set[str]] = {}
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, set()).add(name_of(path))
    return found


def test_no_class_name_means_two_things() -> None:
    twice = {name: modules for name, modules in public_classes().items() if len(modules) > 1}
    assert not twice, "give each of them the name of what it is"


#: Private words that the field's words have replaced: worker process, disk monitor, pool monitor, file thread, status.
RETIRED = {
    "arm", "arms", "aside", "bay", "chronicle", "clerk", "confided", "deed", "desk", "eyes", "glance", "hand",
    "house", "keeping", "labour", "lifeline", "limb", "onlooker", "pulse", "recall", "sight", "standing", "trunk",
    "truth",
    "voice",
}  # fmt: skip


def test_names_are_the_words_of_the_field() -> None:
    names = {name_of(path).rpartition(".")[2] for path in MODULES} | set(public_classes())
    found = {name for name in names if RETIRED & set(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_"))}
    assert not found, "a private word: see the words of ARCHITECTURE.md"


# The outside world.

#: Libraries that reach files, sockets, processes and devices.
OUTSIDE = {
    "ctypes", "fcntl", "http", "io", "mmap", "multiprocessing", "os", "select", "selectors", "shutil", "signal",
    "socket", "ssl", "subprocess", "tempfile",
}  # fmt: skip
#: Methods of a path that ask the file system. A path as a value asks nothing.
PATH_IO = {
    "chmod", "exists", "hardlink_to", "is_dir", "is_file", "is_mount", "is_socket", "is_symlink", "iterdir", "lstat",
    "mkdir", "open", "read_bytes", "read_text", "readlink", "rename", "rglob", "rmdir", "stat", "symlink_to", "touch",
    "unlink", "write_bytes", "write_text",
}  # fmt: skip
#: The rings that touch the world where they like: the adapters, and the demonstration, which builds a pair around them.
OPEN_RINGS = ["reconciler.system", "reconciler.demo"]
#: What the programs use of it for themselves: the watchdog for its processes, the sockets to them and its files; the
#: agent for its loop and its files; the commands for the terminal and one child. The network is `system`'s.
OWN_USE = {
    "reconciler.watchdog": {"ctypes", "fcntl", "os", "select", "selectors", "signal", "socket", "subprocess"},
    "reconciler.agent": {"os", "selectors", "signal"},
    "reconciler.cli": {"multiprocessing", "os", "shutil", "signal", "socket", "subprocess"},
}
#: The modules of the programs that touch it themselves: their own processes, signals, sockets and standard streams.
DOORS = {
    "reconciler.agent.daemon",
    "reconciler.cli.capture",
    "reconciler.cli.completion",
    "reconciler.cli.daemon",
    "reconciler.cli.disk_access",
    "reconciler.cli.drill",
    "reconciler.cli.entry",
    "reconciler.cli.first_trust",
    "reconciler.cli.init",
    "reconciler.cli.rehearse",
    "reconciler.cli.terminal",
    "reconciler.watchdog.daemon_process",
    "reconciler.watchdog.durable_state",
    "reconciler.watchdog.event_loop",
    "reconciler.watchdog.fork_server",
    "reconciler.watchdog.fork_server_handle",
    "reconciler.watchdog.handover",
    "reconciler.watchdog.main",
    "reconciler.watchdog.status_publisher",
    "reconciler.watchdog.successor",
    "reconciler.watchdog.successor_handle",
    "reconciler.watchdog.systemd_service",
    "reconciler.watchdog.timeline",
    "reconciler.watchdog.worker_handle",
    "reconciler.watchdog.worker_pool",
    "reconciler.watchdog.worker_process",
}


def libraries_of(path: Path) -> set[str]:
    """The libraries of `OUTSIDE` that a module imports."""
    tops = {"http" if name.startswith("urllib.request") else name.partition(".")[0] for name, _ in imports_of(path)}
    return tops & OUTSIDE


def touches_the_world(path: Path) -> bool:
    if libraries_of(path):
        return True
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return any(
        (isinstance(call, ast.Name) and call.id == "open") or (isinstance(call, ast.Attribute) and call.attr in PATH_IO)
        for call in calls
    )


def test_the_world_is_touched_by_adapters_and_by_few_modules_of_the_programs() -> None:
    found = {name_of(path) for path in MODULES if not inside(name_of(path), OPEN_RINGS) and touches_the_world(path)}
    assert not found - DOORS, "leave this to an adapter in system/"
    assert not DOORS - found, f"take from DOORS: {sorted(DOORS - found)}"


@pytest.mark.parametrize("ring", OWN_USE)
def test_a_program_uses_only_its_own_part_of_the_world(ring: str) -> None:
    for path in (path for path in MODULES if inside(name_of(path), [ring])):
        beyond = libraries_of(path) - OWN_USE[ring]
        assert not beyond, f"{name_of(path)}: leave {sorted(beyond)} to an adapter in system/"


# Sentences.

#: Subjects that hide who acts: say the peer, the operator, another process.
HIDDEN_SUBJECT = re.compile(r"\b(nobody|somebody|whoever|everybody)\b", re.IGNORECASE)
#: How many lines of the package still have one. The number only shrinks.
HIDDEN_SUBJECTS = 73


def test_sentences_say_who_acts() -> None:
    found = [line for path in MODULES for line in path.read_text().splitlines() if HIDDEN_SUBJECT.search(line)]
    assert len(found) <= HIDDEN_SUBJECTS, "say who acts: the peer, the operator, another process"
