"""What an emulated machine boots: Debian's own kernel and a small initial file system, built once and cached.

Decides which kernel (the newest `linux-image-FLAVOUR` that apt offers), which modules go in, and where the result is
kept: `$HAGIT_CACHE`, else `$XDG_CACHE_HOME/hagit`, else `~/.cache/hagit`, shared by all checkouts of one user. The
kernel package is unpacked, never installed. Nothing is left half-made: everything is built beside its place and
renamed into it. Does not know QEMU, nor what runs in the guest beyond `guest/`.

    python -m tests.lab.image      builds the image, or says at once where it is
"""

from __future__ import annotations

import fcntl
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

GUEST = Path(__file__).parent / "guest"
#: Busybox without libraries, from busybox-static.
BUSYBOX = Path("/bin/busybox")

#: Loaded at boot, in this order, each after what it depends on.
MODULES = (
    "virtio_pci", "virtio_console", "virtio-rng", "9p", "9pnet_virtio",
    "virtio_net", "bonding", "8021q", "bridge", "veth", "dummy", "macvlan", "vrf",
)  # fmt: skip

#: What is unpacked of the kernel package, some 45 of its 400 MB: other modules have no use without their hardware.
MEMBERS = (
    "./boot/vmlinuz-*", "./lib/modules/*/modules.*", "./lib/modules/*/kernel/net/*", "./lib/modules/*/kernel/lib/*",
    "./lib/modules/*/kernel/fs/9p/*", "./lib/modules/*/kernel/fs/netfs/*", "./lib/modules/*/kernel/fs/fscache/*",
    "./lib/modules/*/kernel/drivers/virtio/*", "./lib/modules/*/kernel/drivers/char/*",
    "./lib/modules/*/kernel/drivers/net/*.ko*", "./lib/modules/*/kernel/crypto/*",
)  # fmt: skip

#: Longest wait for one step (download, unpack), and for another process that builds the same.
STEP_S = 180
#: What helps where apt does not know or find the kernel.
LISTS = "; run `apt-get update` as root"
#: Unpacked kernels that are kept; the oldest go.
KERNELS_MAX = 2

Progress = Callable[[str], None]


class ImageError(Exception):
    """The image cannot be built here; the message says which step failed and what to do."""


@dataclass(frozen=True, slots=True)
class Image:
    """A kernel and its initial file system. `release` is what `uname -r` will say."""

    release: str
    kernel: Path
    initrd: Path


def cache_directory() -> Path:
    """Where images are kept between runs and between checkouts."""
    chosen = os.environ.get("HAGIT_CACHE")
    if chosen:
        return Path(chosen) / "lab"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hagit" / "lab"


def image(flavour: str = "amd64", progress: Progress = lambda text: None) -> Image:
    """The image of the kernel that apt would install now; built where the cache has none.

    Without a network a kernel that the cache has serves as well. Raises ImageError.
    """
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache / "lock"):
        kernel = _kernel(cache, flavour, progress)
        release = (kernel / "release").read_text().strip()
        initrd = _initrd(kernel, release, progress)
        os.utime(kernel)
        for old in sorted(cache.glob("kernel-*"), key=lambda path: path.stat().st_mtime)[:-KERNELS_MAX]:
            shutil.rmtree(old)
    return Image(release, kernel / "vmlinux", initrd)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process builds, the others wait for it: flock(2) ends with its holder, so no lock is ever stale."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _run(arguments: list[str], directory: Path, advice: str = "") -> str:
    """Runs a program and returns what it printed. Raises ImageError with its complaint and the advice."""
    try:
        done = subprocess.run(
            arguments, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=STEP_S
        )
    except FileNotFoundError:
        raise ImageError(f"{arguments[0]} is missing: run packaging/prerequisites lab") from None
    except subprocess.TimeoutExpired:
        raise ImageError(f"`{' '.join(arguments)}` was still running after {STEP_S} s") from None
    if done.returncode != 0:
        raise ImageError(f"`{' '.join(arguments)}` failed: {(done.stderr or done.stdout).strip()}{advice}")
    return done.stdout


def _kernel(cache: Path, flavour: str, progress: Progress) -> Path:
    """The directory of the kernel to use: `vmlinux`, `modules/`, `release`."""
    try:
        return _newest(cache, flavour, progress)
    except ImageError as error:
        cached = sorted(cache.glob(f"kernel-*-{flavour}_*"), key=lambda path: path.stat().st_mtime)
        if cached:
            progress(f"lab: {error}; going on with {cached[-1].name}")
            return cached[-1]
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise
        # Apt's lists may be empty, or name a kernel that the archive has replaced since.
        progress(f"lab: {error}; refreshing the lists")
        _run(["apt-get", "-q", "update"], cache)
        return _newest(cache, flavour, progress)


def _newest(cache: Path, flavour: str, progress: Progress) -> Path:
    """The kernel that apt would install now, unpacked where the cache has it not."""
    package, version = _candidate(cache, flavour)
    made = cache / f"kernel-{package}_{version}"
    if not made.is_dir():
        _unpack(package, version, made, progress)
    return made


def _candidate(cache: Path, flavour: str) -> tuple[str, str]:
    """Name and version of the package that holds the flavour's newest kernel."""
    shown = _run(["apt-cache", "show", "--no-all-versions", f"linux-image-{flavour}"], cache, LISTS)
    found = re.search(rf"^Depends: (linux-image-\d\S*-{re.escape(flavour)}) \(= (\S+)\)", shown, re.MULTILINE)
    if found is None:
        raise ImageError(f"apt knows no kernel of linux-image-{flavour}{LISTS}")
    return found[1], found[2]


def _unpack(package: str, version: str, made: Path, progress: Progress) -> None:
    """Downloads the package and keeps what a machine needs of it."""
    with tempfile.TemporaryDirectory(prefix="building-", dir=made.parent) as name:
        work = Path(name)
        progress(f"lab: downloading {package} {version} (about 70 MB)")
        _run(["apt-get", "-q", "download", f"{package}={version}"], work, LISTS)
        (archive,) = work.glob("*.deb")
        progress("lab: unpacking the kernel")
        (work / "tree").mkdir()
        members = " ".join(f"'{member}'" for member in MEMBERS)
        _run(["sh", "-c", f"dpkg-deb --fsys-tarfile {archive.name} | tar -x -C tree --wildcards {members}"], work)
        (modules,) = (work / "tree/lib/modules").iterdir()
        _run([str(BUSYBOX), "depmod", "-b", str(work / "tree"), modules.name], work)
        result = work / "result"
        result.mkdir()
        (result / "release").write_text(modules.name + "\n")
        _bare_kernel((work / "tree/boot" / f"vmlinuz-{modules.name}").read_bytes(), result / "vmlinux")
        modules.rename(result / "modules")
        result.rename(made)


def _bare_kernel(packed: bytes, place: Path) -> None:
    """Takes the ELF kernel out of a bzImage, which QEMU starts by PVH four seconds sooner than the guest unpacks it.

    Kernels that are not packed with xz stay as they are: they boot the ordinary way.
    """
    start = packed.find(b"\xfd7zXZ\x00")
    bare = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(packed[start:]) if start >= 0 else packed
    place.write_bytes(bare if bare.startswith(b"\x7fELF") else packed)


def _module_files(modules: Path) -> list[str]:
    """The files of `MODULES` and all they depend on, dependencies first, relative to `modules`."""
    needs: dict[str, list[str]] = {}
    by_name: dict[str, str] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
        by_name[Path(path).name.split(".")[0].replace("-", "_")] = path
    builtin = {Path(line).name.split(".")[0] for line in (modules / "modules.builtin").read_text().splitlines()}
    ordered: list[str] = []

    def add(path: str) -> None:
        for needed in needs[path]:
            add(needed)
        if path not in ordered:
            ordered.append(path)

    for name in MODULES:
        if (known := name.replace("-", "_")) in by_name:
            add(by_name[known])
        elif name not in builtin:
            raise ImageError(f"the kernel package has no module {name}")
    return ordered


def _initrd(kernel: Path, release: str, progress: Progress) -> Path:
    """The initial file system for this kernel and the present `guest/`, named by the digest of what went in."""
    files = _module_files(kernel / "modules")
    digest = hashlib.sha256("\n".join([release, *files]).encode())
    for source in (BUSYBOX, GUEST / "init", GUEST / "agent.py"):
        digest.update(source.read_bytes())
    made = kernel / f"initrd-{digest.hexdigest()[:16]}.cpio"
    if made.is_file():
        return made
    progress("lab: making the initial file system")
    with tempfile.TemporaryDirectory(prefix="building-", dir=kernel) as name:
        work, root = Path(name), Path(name) / "root"
        for directory in ("bin", "dev", "proc", "sys", "tmp", "run", "lab/modules"):
            (root / directory).mkdir(parents=True)
        shutil.copy(BUSYBOX, root / "bin/busybox")
        shutil.copy(GUEST / "init", root / "init")
        shutil.copy(GUEST / "agent.py", root / "lab/agent.py")
        (root / "init").chmod(0o755)
        for number, path in enumerate(files):
            shutil.copy(kernel / "modules" / path, root / "lab/modules" / f"{number:03}-{Path(path).name}")
        _run(["sh", "-c", "cd root && find . | sort | cpio -o -H newc --quiet > ../initrd"], work)
        for old in kernel.glob("initrd-*.cpio"):
            old.unlink()
        (work / "initrd").rename(made)
    return made


def main() -> int:
    """Builds the image, telling each step; exit status 1 and one line where it cannot."""
    try:
        built = image(progress=lambda text: print(text, file=sys.stderr, flush=True))
    except ImageError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    print(f"lab: Linux {built.release} in {built.kernel.parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
