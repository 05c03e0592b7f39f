"""OpenZFS for an emulated machine: Debian's modules, built once for the lab's kernel, and Debian's own programs.

Decides where the packages come from: the archive that apt uses, with its component contrib, in separate lists; the
host's lists are not touched, and nothing is installed. Decides how to build the modules: as `zfs-dkms` does, against
the kernel's headers, both unpacked beside their place. The result is kept beside the kernel, named by the version of
ZFS; a kernel that has one keeps it. Does not know the uses of a pool.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.lab.step import LISTS, ImageError, Progress, run

#: Where Debian keeps the keys of its archive.
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
#: Longest time for one of the two long steps, on two slow and busy processors.
BUILD_S = 3_600
#: Parts of the packages of programs and libraries that the guest needs.
PARTS = ("sbin", "lib/x86_64-linux-gnu", "usr/share/zfs")
#: Further parts of the first package for a guest under systemd: its units, its rules for udev.
UNITS = ("lib/systemd/system", "lib/udev")


@dataclass(frozen=True, slots=True)
class Zfs:
    """Modules in their loading order, and a tree whose `usr` goes over the guest's."""

    version: str
    modules: tuple[Path, ...]
    tree: Path


def zfs(kernel: Path, release: str, progress: Progress) -> Zfs:
    """Return ZFS for the kernel in this directory of the cache, which the caller has locked. Raises ImageError."""
    for made in sorted(kernel.glob("zfs-*")):
        if missing := [part for part in UNITS if not (made / "tree/usr" / part).is_dir()]:
            _units(made, missing, progress)
        names = (made / "order").read_text().split()
        return Zfs(made.name.removeprefix("zfs-"), tuple(made / "modules" / name for name in names), made / "tree")
    with tempfile.TemporaryDirectory(prefix="building-", dir=kernel) as name:
        # The same kernel with another choice of members may have been built for already.
        built = sorted(kernel.parent.glob(f"{kernel.name.rpartition('_')[0]}_*/zfs-*"))
        if built:
            shutil.copytree(built[-1], Path(name) / "result", symlinks=True).rename(kernel / built[-1].name)
        else:
            _build(kernel, release, Path(name), progress)
    return zfs(kernel, release, progress)


def _build(kernel: Path, release: str, work: Path, progress: Progress) -> None:
    progress("lab: asking the archive for ZFS")
    apt = _apt(work)
    libraries = re.findall(r"\blib\w+linux\b", run(["apt-cache", *apt, "depends", "zfsutils-linux"], work))
    packages = ["zfs-dkms", "zfsutils-linux", *sorted(set(libraries))]
    (work / "zfs").mkdir()
    run(["apt-get", "-q", *apt, "download", *packages], work / "zfs")
    headers = _headers(release, work)
    progress(f"lab: building ZFS for {release}: some 6 minutes on an idle machine, once")
    for archive in (work / "zfs").glob("*.deb"):
        run(["dpkg-deb", "-x", archive.name, "tree"], work / "zfs")
    (source,) = (work / "zfs/tree/usr/src").glob("zfs-*")
    order = _modules(source, headers, progress)
    result = work / "result"
    (result / "modules").mkdir(parents=True)
    for path in order:
        run(["strip", "--strip-debug", "-o", str(result / "modules" / path.name), str(path)], work)
    (result / "order").write_text("".join(f"{path.name}\n" for path in order))
    for part in PARTS:
        # Debian's merged /usr: packages of its older layout still say /sbin and /lib.
        place = result / "tree/usr" / part.removeprefix("usr/")
        shutil.copytree(work / "zfs/tree" / part, place, symlinks=True)
    result.rename(kernel / source.name)


def _units(made: Path, parts: list[str], progress: Progress) -> None:
    """Add ZFS's own units and rules to its programs."""
    progress("lab: asking the archive for the units and rules of ZFS")
    with tempfile.TemporaryDirectory(prefix="building-", dir=made) as name:
        work = Path(name)
        run(["apt-get", "-q", *_apt(work), "download", "zfsutils-linux"], work)
        (archive,) = work.glob("*.deb")
        run(["dpkg-deb", "-x", archive.name, "tree"], work)
        for part in parts:
            place = made / "tree/usr" / part
            place.parent.mkdir(parents=True, exist_ok=True)
            (work / "tree" / part).rename(place)


def _apt(work: Path) -> list[str]:
    """Fetch separate apt lists, contrib of every suite of Debian that the host uses. Returns options for them."""
    told = run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(CREATED_BY) $(REPO_URI) $(CODENAME)"], work, LISTS)
    found = sorted({tuple(line.split()[2:4]) for line in told.splitlines() if line.startswith("Debian Packages ")})
    if not found:
        raise ImageError(f"apt knows no archive of Debian{LISTS}")
    for directory in ("lists/partial", "cache/archives/partial"):
        (work / directory).mkdir(parents=True)
    (work / "sources.list").write_text(
        "".join(f"deb [signed-by={KEYS}] {url} {suite} contrib\n" for url, suite in found)
    )
    settings = {
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": work / "lists",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    run(["apt-get", "-q", *options, "update"], work)
    return options


def _headers(release: str, work: Path) -> Path:
    """Unpack the kernel's headers. Returns the directory for which modules are built."""
    package = f"linux-headers-{release}"
    told = run(["apt-cache", "depends", package], work, LISTS)
    others = re.findall(r"Depends: (linux-headers-\S+-common|linux-kbuild-\S+)", told)
    (work / "headers").mkdir()
    run(["apt-get", "-q", "download", package, *others], work / "headers", LISTS)
    for archive in (work / "headers").glob("*.deb"):
        run(["dpkg-deb", "-x", archive.name, "tree"], work / "headers")
    tree = work / "headers/tree"
    made = tree / "usr/src" / package
    # The only path in them that names the place of an installed package.
    makefile = made / "Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src/", f"{tree}/usr/src/"))
    return made


def _modules(source: Path, headers: Path, progress: Progress) -> list[Path]:
    """Build the modules from this source. Returns them, each after those it depends on."""
    (common,) = headers.parent.glob("linux-headers-*-common")
    run(
        ["nice", "./configure", "--with-config=kernel", f"--with-linux={common}", f"--with-linux-obj={headers}"],
        source,
        "; is the kernel's compiler there? run packaging/prerequisites lab",
        BUILD_S,
    )
    progress("lab: ZFS is configured; compiling")
    run(["nice", "make", "-s", "-j2", "-C", "module"], source, timeout_s=BUILD_S)
    built = {path.stem: path for path in source.glob("module/**/*.ko")}
    ordered: list[Path] = []

    def add(name: str) -> None:
        told = re.search(rb"\0depends=([^\0]*)\0", built[name].read_bytes())
        for other in told[1].decode().split(",") if told else ():
            if other in built:
                add(other)
        if built[name] not in ordered:
            ordered.append(built[name])

    add("zfs")
    return ordered
