"""Builds hagit as a Debian package: this checkout with every library it needs, compiled, and its units.

    python packaging/deb.py DIRECTORY      prints the package's path; `make package` puts it into dist/

/usr/lib/hagit is a virtual environment of Debian's Python, so packages that are installed beside it do not change what
hagit runs, and a controller fetches no library. The libraries come from the environment that runs this script, in the
versions of packaging/requirements.lock. `make` installed them by the hashes there, and the tests ran with them. The
package depends on the same Python (3.11 on Debian 12) and the same architecture. It contains compiled modules,
because a start that has to compile the daemon takes seconds longer. Needs dpkg-deb and no network.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "packaging/requirements.lock"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
HOME = PurePosixPath("/usr/lib/hagit")
#: Optional dependencies that the package includes: mail and chat.
EXTRAS = ("chat",)
#: The sources of the build. Files that an earlier build left behind are not among them.
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "reconciler")
#: The documents, in the same places as in the repository, so that their links work.
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs",
    "reconciler/ARCHITECTURE.md",
    "examples/minimal-pair/plan.svg",
)
UNITS = ("hagit-watchdog.service", "hagit-agent.service", "hagit-handover.service", "hagit-push.service")
#: Programs in the package's own folder, and the module that each runs: a shell for the git user, and its SSH server.
PROGRAMS = {
    "hagit-git-shell": "reconciler.system.push.ssh_shell",
    "hagit-push-server": "reconciler.system.push.ssh_server",
}
SCRIPTS = ("postinst", "prerm", "postrm")
#: Time limit of one step, for a slow and busy processor.
STEP_S = 600

CONTROL = """\
Package: hagit
Version: {version}
Architecture: {architecture}
Maintainer: the authors of hagit <root@localhost>
Installed-Size: {size_kib}
Depends: python3 (>= {python}~), python3 (<< {python_next}~), systemd, ca-certificates
Recommends: zfsutils-linux, nftables, nfs-kernel-server, openssh-client, openssh-server, git, gpg
Suggests: avahi-daemon, fence-agents, ipmitool, sg3-utils, snmp, targetcli-fb
Section: admin
Priority: optional
Description: high availability for Linux storage pairs, configured from git
 Two controllers share dual-ported disks with SCSI-3 or NVMe reservations: one is active, the other takes its pools and
 virtual addresses over. An agent turns each commit of a git repository into the state of the kernel.
"""


def run(*words: str, cwd: Path = ROOT) -> str:
    """Run a program and return its output. Ends the build with that output if the program fails."""
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=STEP_S)
    if done.returncode != 0:
        sys.exit(f"package: {words[0]} failed\n{done.stdout}{done.stderr}")
    return done.stdout


def version() -> tuple[str, int]:
    """The project's version with the moment of its last commit, and that moment in seconds since 1970."""
    text = (ROOT / "reconciler/__init__.py").read_text()
    found = re.search(r'__version__ = "([^"]+)"', text)
    assert found is not None, "reconciler/__init__.py says no version"
    told = subprocess.run(
        ["git", "log", "-1", "--format=%ct %h"], cwd=ROOT, capture_output=True, text=True, timeout=STEP_S
    )
    if told.returncode != 0:
        return found[1], int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    seconds, commit = told.stdout.split()
    return f"{found[1]}+git{seconds}.{commit}", int(seconds)


def libraries() -> dict[str, Distribution]:
    """Every library of this environment that the project needs at run time, by name."""
    found: dict[str, Distribution] = {}
    waiting = [("hagit", extra) for extra in ("", *EXTRAS)]
    asked = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        here = distribution(name)
        found[name] = here
        for requirement in map(Requirement, here.requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                for wanted in ("", *requirement.extras):
                    need = (re.sub(r"[-_.]+", "-", requirement.name).lower(), wanted)
                    if need not in asked:
                        asked.add(need)
                        waiting.append(need)
    del found["hagit"]
    return found


def locked() -> dict[str, str]:
    """The version of each library that the lock file names."""
    lines = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", LOCK.read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): number for name, number in lines}


def require_locked(found: dict[str, Distribution]) -> None:
    """End the build if a library has another version than the lock file names."""
    versions = locked()
    for name, library in sorted(found.items()):
        if versions.get(name) != library.version:
            where = f"{LOCK.relative_to(ROOT)} says {versions.get(name, 'nothing of it')}"
            sys.exit(f"package: {name} {library.version} is installed, and {where}; run `make clean package`")


def copy(library: Distribution, site: Path) -> None:
    """The files of a library, without its commands and whatever is compiled."""
    for file in library.files or ():
        if ".." in file.parts or "__pycache__" in file.parts or file.name in ("INSTALLER", "direct_url.json"):
            continue
        place = site / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(library.locate_file(file)), place)
        if file.suffix == ".so" or ".so." in file.name:
            place.chmod(0o755)


def project(site: Path, work: Path) -> None:
    """This checkout as a wheel, unpacked."""
    source = work / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, source / name)
    wheel = ("wheel", "-q", "--no-deps", "--no-build-isolation", "--wheel-dir", str(work / "wheel"), str(source))
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", *wheel)
    (built,) = (work / "wheel").glob("*.whl")
    run(sys.executable, "-m", "zipfile", "-e", str(built), str(site))


def environment(tree: Path) -> Path:
    """Make an empty virtual environment of Debian's Python. Returns the folder for its libraries."""
    home = tree / HOME.relative_to("/")
    site = home / "lib" / f"python{PYTHON}" / "site-packages"
    site.mkdir(parents=True)
    (home / "bin").mkdir()
    (home / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n")
    (home / "bin/python3").symlink_to(f"/usr/bin/python{PYTHON}")
    # -P: Python imports nothing from the working directory.
    start = "import sys\nfrom reconciler.cli.entry import main\n\nsys.exit(main())\n"
    (home / "bin/hagit").write_text(f"#!{HOME}/bin/python3 -P\n{start}")
    (home / "bin/hagit").chmod(0o755)
    for name, module in PROGRAMS.items():
        program = f"import sys\nfrom {module} import main\n\nsys.exit(main())\n"
        (home / "bin" / name).write_text(f"#!{HOME}/bin/python3 -P\n{program}")
        (home / "bin" / name).chmod(0o755)
    (tree / "usr/bin").mkdir()
    (tree / "usr/bin/hagit").symlink_to("../lib/hagit/bin/hagit")
    return site


def compiled(site: Path, tree: Path) -> None:
    """Compile everything. Python will not compare file times, because dpkg sets them and overlays change them."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(
        site, quiet=1, workers=0, stripdir=str(tree), prependdir="/", invalidation_mode=mode, maxlevels=50
    ):
        sys.exit("package: a library does not compile")


def documentation(folder: Path) -> None:
    """Copy the documents and the licence into the package's documentation folder."""
    for name in DOCUMENTS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            shutil.copyfile(ROOT / name, folder / name)
    shutil.copyfile(ROOT / "LICENSE", folder / "copyright")


def build(target: Path) -> Path:
    """Build the package and move it into `target` in one step. Returns its path."""
    number, moment_s = version()
    architecture = run("dpkg", "--print-architecture").strip()
    major, minor = map(int, PYTHON.split("."))
    with tempfile.TemporaryDirectory(prefix="hagit-package-") as name:
        work, tree = Path(name), Path(name) / "tree"
        site = environment(tree)
        found = libraries()
        require_locked(found)
        for library in found.values():
            copy(library, site)
        project(site, work)
        compiled(site, tree)
        for place, files in (("usr/lib/systemd/system", UNITS), ("usr/lib/sysusers.d", ("hagit.conf",))):
            (tree / place).mkdir(parents=True)
            for file in files:
                shutil.copyfile(ROOT / "packaging" / file, tree / place / file)
        documentation(tree / "usr/share/doc/hagit")
        size = sum(path.lstat().st_size for path in tree.rglob("*") if not path.is_dir())
        (tree / "DEBIAN").mkdir()
        told = {"version": number, "architecture": architecture, "size_kib": size >> 10, "python": PYTHON}
        (tree / "DEBIAN/control").write_text(CONTROL.format(python_next=f"{major}.{minor + 1}", **told))
        for script in SCRIPTS:
            shutil.copyfile(ROOT / "packaging/debian" / script, tree / "DEBIAN" / script)
            (tree / "DEBIAN" / script).chmod(0o755)
        target.mkdir(parents=True, exist_ok=True)
        made = work / f"hagit_{number}_{architecture}.deb"
        os.environ["SOURCE_DATE_EPOCH"] = str(moment_s)
        run("dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", str(tree), str(made))
        shutil.move(made, target / made.name)
    return target / made.name


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(build(Path(sys.argv[1])))
