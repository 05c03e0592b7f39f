"""The Debian package: built, installed into a root of its own, run by Debian's Python, removed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import debian
from tests.debian import IMPORTERS, dpkg
from tests.debian import ran as run

#: Its stop would remove hagit's iSCSI targets.
RTSLIB = "etc/systemd/system/rtslib-fb-targetctl.service"
#: Debian's NFS server: hagit starts the kernel's server itself.
NFS = ("nfs-server.service", "nfs-mountd.service", "nfsdcld.service")
UNITS = ("hagit-agent.service", "hagit-handover.service", "hagit-push.service", "hagit-watchdog.service")
LOCK = Path("packaging/requirements.lock")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return debian.package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def installed(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    debian.bare(root)
    dpkg(root, "-i", package)
    return root


def masked(root: Path) -> list[str]:
    """Units of ZFS and NFS that systemd does not start."""
    found = [name for name in (*IMPORTERS, *NFS) if (root / "etc/systemd/system" / name).is_symlink()]
    assert all((root / "etc/systemd/system" / name).readlink() == Path("/dev/null") for name in found)
    return found


def enabled(root: Path) -> list[str]:
    place = root / "etc/systemd/system/multi-user.target.wants"
    return sorted(path.name for path in place.iterdir()) if place.exists() else []


def test_it_is_for_the_python_that_it_was_compiled_by(package: Path) -> None:
    fields = run("dpkg-deb", "--field", package, "Depends", "Version", "Architecture")
    major, minor = sys.version_info[:2]
    assert f"python3 (>= {major}.{minor}~), python3 (<< {major}.{minor + 1}~)" in fields
    assert re.search(r"^Version: \d+\.\d+\.\d+(\+git\d+\.[0-9a-f]+)?$", fields, re.MULTILINE)


def test_debians_python_runs_it_with_nothing_but_its_own_libraries(installed: Path) -> None:
    python = installed / "usr/lib/hagit/bin/python3"
    assert not python.readlink().is_relative_to(sys.prefix)
    text = "import reconciler, apprise, pygit2, pydantic, pyroute2; print(reconciler.__file__, pydantic.__file__)"
    for path in run(python, "-P", "-c", text).split():
        assert Path(path).is_relative_to(installed / "usr/lib/hagit"), path
    assert run(python, installed / "usr/lib/hagit/bin/hagit", "--version").startswith("hagit ")
    assert "hagit watchdog" in run(python, installed / "usr/lib/hagit/bin/hagit", "watchdog", "--help")


def test_every_module_is_compiled(installed: Path) -> None:
    tag = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
    sources = list((installed / "usr/lib/hagit/lib").rglob("reconciler/**/*.py"))
    missing = [path for path in sources if not (path.parent / f"__pycache__/{path.stem}.{tag}.pyc").exists()]
    assert len(sources) > 100 and missing == []


def test_a_first_installation_enables_the_units_and_masks_what_would_import_pools(installed: Path) -> None:
    assert enabled(installed) == list(UNITS)
    assert masked(installed) == [*IMPORTERS, *NFS]
    assert (installed / RTSLIB).readlink() == Path("/dev/null")
    assert "hagit:" in (installed / "etc/group").read_text()


def test_the_git_user_has_no_shell_but_the_one_that_serves_git(installed: Path) -> None:
    account = next(line for line in (installed / "etc/passwd").read_text().splitlines() if "hagit-git" in line)
    shell = installed / account.rpartition(":")[2].lstrip("/")
    assert shell.stat().st_mode & 0o777 == 0o755
    python = installed / "usr/lib/hagit/bin/python3"
    done = subprocess.run([python, "-P", shell], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "") and "there is no shell here" in done.stderr


def test_exports_and_targets_of_the_operator_keep_debians_units(package: Path, tmp_path: Path) -> None:
    debian.bare(tmp_path)
    (tmp_path / "etc/exports").write_text("# exports(5)\n/srv 192.0.2.0/24(rw)\n")
    saved = tmp_path / "etc/rtslib-fb-target/saveconfig.json"
    saved.parent.mkdir()
    saved.write_text("{}")
    dpkg(tmp_path, "-i", package)
    assert masked(tmp_path) == list(IMPORTERS)
    assert not (tmp_path / RTSLIB).is_symlink()


def test_every_link_of_an_installed_document_leads_to_an_installed_file(installed: Path) -> None:
    folder = installed / "usr/share/doc/hagit"
    documents = [*folder.rglob("*.md")]
    assert folder / "docs/failover.md" in documents
    for document in documents:
        for target in re.findall(r"\]\(([^)#\s:]+)[^)\s]*\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.relative_to(folder)} links to {target}"


def test_the_units_name_installed_documents(installed: Path) -> None:
    for unit in UNITS:
        text = (installed / "usr/lib/systemd/system" / unit).read_text()
        named = re.findall(r"file:///(\S+)", text)
        assert named and all((installed / name).is_file() for name in named), unit


def test_systemd_understands_the_units(installed: Path) -> None:
    # Against this host's other units, with the program where the units say it is.
    for unit in UNITS:
        text = (installed / "usr/lib/systemd/system" / unit).read_text()
        place = installed / unit
        for program in ("/usr/bin/hagit", "/usr/lib/hagit/bin/hagit-push-server"):
            text = text.replace(program, f"{installed}{program}")
        place.write_text(text)
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", place], capture_output=True, text=True
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_an_upgrade_leaves_what_a_person_has_changed_and_removal_leaves_nothing(installed: Path, package: Path) -> None:
    (installed / "etc/systemd/system/zfs-import-scan.service").unlink()
    (installed / "etc/systemd/system/multi-user.target.wants/hagit-agent.service").unlink()
    dpkg(installed, "-i", package)
    assert masked(installed) == ["zfs-import-cache.service", *NFS]
    assert enabled(installed) == ["hagit-handover.service", "hagit-push.service", "hagit-watchdog.service"]
    dpkg(installed, "-r", "hagit")
    assert (enabled(installed), masked(installed)) == ([], [])
    assert not (installed / RTSLIB).is_symlink()
    assert not (installed / "usr/lib/hagit").exists()


def test_every_library_is_pinned_by_version_and_hash() -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", LOCK.read_text())[1:]
    assert len(entries) > 40
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==[0-9][^\s;]* \\\n( +--hash=sha256:[0-9a-f]{64}( \\)?\n)+ +# via", entry), (
            entry
        )
    names = {canonicalize_name(entry.partition("==")[0]): entry.split()[0].partition("==")[2] for entry in entries}
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for requirement in map(Requirement, [*project["dependencies"], *extras["chat"], *extras["dev"]]):
        assert requirement.specifier.contains(names[canonicalize_name(requirement.name)]), requirement


def test_a_package_of_other_libraries_is_not_built(tmp_path: Path) -> None:
    for name in ("packaging/deb.py", "reconciler/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(name, tmp_path / name)
    other = re.sub(r"^pygit2==\S+", "pygit2==0.0.1", LOCK.read_text(), flags=re.MULTILINE)
    (tmp_path / LOCK).write_text(other)
    script = [sys.executable, tmp_path / "packaging/deb.py", tmp_path / "dist"]
    done = subprocess.run(script, capture_output=True, text=True, timeout=120)
    version = distribution("pygit2").version
    said = f"package: pygit2 {version} is installed, and {LOCK} says 0.0.1; run `make clean package`\n"
    assert (done.returncode, done.stderr) == (1, said)
    assert not (tmp_path / "dist").exists()
