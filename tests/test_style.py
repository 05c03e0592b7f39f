"""The rules of the rings, read from the source with `ast`: who may import whom, and what the core may never do."""

import ast
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
            "reconciler.core.failover.orders",
            "reconciler.core.failover.key",
            "reconciler.core.failover.unsafe",
            "reconciler.core.power",
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
    ("reconciler.core.status", ["reconciler.core.facts", "reconciler.core.status"], []),
    ("reconciler.core", ["reconciler.core"], []),
    ("reconciler.simulation", ["reconciler.core", "reconciler.simulation"], []),
    (
        "reconciler.system",
        ["reconciler.core.facts", "reconciler.core.failover", "reconciler.core.power", "reconciler.system"],
        None,
    ),
    (
        "reconciler.watchdog",
        [
            "reconciler.core.facts",
            "reconciler.core.failover",
            "reconciler.core.power",
            "reconciler.core.status",
            "reconciler.watchdog",
            "reconciler.system.addresses",
            "reconciler.system.carp",
            "reconciler.system.clock",
            "reconciler.system.control",
            "reconciler.system.deadman",
            "reconciler.system.files",
            "reconciler.system.machine",
            "reconciler.system.finding",
            "reconciler.system.frames",
            "reconciler.system.framing",
            "reconciler.system.node",
            "reconciler.system.power",
            "reconciler.system.request",
            "reconciler.system.secret",
            "reconciler.system.shelf",
            "reconciler.system.streams",
        ],
        [],
    ),
    (
        "reconciler.agent",
        ["reconciler.core", "reconciler.system", "reconciler.agent"],
        ["prometheus_client", "apprise"],
    ),
    ("reconciler", None, None),
]
#: Which module of `system` may use which library.
OWN_PACKAGE = {"pygit2": "git", "watchdog": "filewatch", "pyroute2": "netlink"}
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
