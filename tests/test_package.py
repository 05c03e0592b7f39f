"""The Debian package: built, installed into a root of its own, run by Debian's Python, removed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import debian
from tests.debian import IMPORTERS, dpkg
from tests.debian import ran as run

UNITS = ("hagit-agent.service", "hagit-handover.service", "hagit-watchdog.service")


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
    """Units of ZFS that systemd does not start."""
    found = [name for name in IMPORTERS if (root / "etc/systemd/system" / name).is_symlink()]
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
    assert masked(installed) == list(IMPORTERS)
    assert "hagit:" in (installed / "etc/group").read_text()


def test_systemd_understands_the_units(installed: Path) -> None:
    # Against this host's other units, with the program where the units say it is.
    for unit in UNITS:
        text = (installed / "usr/lib/systemd/system" / unit).read_text()
        place = installed / unit
        place.write_text(text.replace("/usr/bin/hagit", str(installed / "usr/bin/hagit")))
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", place], capture_output=True, text=True
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_an_upgrade_leaves_what_a_person_has_changed_and_removal_leaves_nothing(installed: Path, package: Path) -> None:
    (installed / "etc/systemd/system/zfs-import-scan.service").unlink()
    (installed / "etc/systemd/system/multi-user.target.wants/hagit-agent.service").unlink()
    dpkg(installed, "-i", package)
    assert masked(installed) == ["zfs-import-cache.service"]
    assert enabled(installed) == ["hagit-handover.service", "hagit-watchdog.service"]
    dpkg(installed, "-r", "hagit")
    assert (enabled(installed), masked(installed)) == ([], [])
    assert not (installed / "usr/lib/hagit").exists()
