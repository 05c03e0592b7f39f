"""The image that an emulated machine boots: Debian's own kernel and a small initial file system, built once and cached.

Decides which kernel (the newest `linux-image-FLAVOUR` that apt offers), which modules go in, and where the result is
kept: `$HAGIT_CACHE`, else `$XDG_CACHE_HOME/hagit`, else `~/.cache/hagit`, shared by all checkouts of one user. The
kernel package is unpacked, never installed. No half-made image is ever used: each is built beside its place and then
renamed. There are two images of one kernel: the plain one, and the one for storage, with drivers of disks, a hardware
watchdog and OpenZFS (`zfs`). Does not know QEMU, nor what runs in the guest beyond `guest/`.

    python -m tests.lab.image             builds the plain image, or prints its path at once
    python -m tests.lab.image storage     both
"""

from __future__ import annotations

import fcntl
import hashlib
import lzma
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.step import LISTS, ImageError, Progress, run
from tests.lab.zfs import PARTS, UNITS, Zfs, zfs

__all__ = ["Image", "ImageError", "alone", "cache_directory", "image", "module_files"]

GUEST = Path(__file__).parent / "guest"
#: Busybox without libraries, from busybox-static.
BUSYBOX = Path("/bin/busybox")

#: Modules to load at boot, in this order, each after those it depends on.
MODULES = (
    "virtio_pci", "virtio_console", "virtio-rng", "9p", "9pnet_virtio",
    "virtio_net", "bonding", "8021q", "bridge", "veth", "dummy", "macvlan", "vrf",
)  # fmt: skip

#: Further modules for storage, before those of ZFS.
STORAGE = ("sd_mod", "sg", "virtio_scsi", "overlay", "i6300esb")

#: Members to unpack from the kernel package, some 60 of its 400 MB: other modules have no use without their hardware.
MEMBERS = (
    "./boot/vmlinuz-*", "./lib/modules/*/modules.*", "./lib/modules/*/kernel/net/*", "./lib/modules/*/kernel/lib/*",
    "./lib/modules/*/kernel/fs/9p/*", "./lib/modules/*/kernel/fs/netfs/*", "./lib/modules/*/kernel/fs/fscache/*",
    "./lib/modules/*/kernel/drivers/virtio/*", "./lib/modules/*/kernel/drivers/char/*",
    "./lib/modules/*/kernel/drivers/net/*.ko*", "./lib/modules/*/kernel/crypto/*",
    "./lib/modules/*/kernel/block/*", "./lib/modules/*/kernel/fs/overlayfs/*", "./lib/modules/*/kernel/fs/configfs/*",
    "./lib/modules/*/kernel/drivers/scsi/*.ko*", "./lib/modules/*/kernel/drivers/nvme/*",
    "./lib/modules/*/kernel/drivers/target/*", "./lib/modules/*/kernel/drivers/watchdog/*",
    "./lib/modules/*/kernel/fs/nfs/*", "./lib/modules/*/kernel/fs/nfsd/*", "./lib/modules/*/kernel/fs/nfs_common/*",
    "./lib/modules/*/kernel/fs/lockd/*",
)  # fmt: skip

#: Number of unpacked kernels to keep; the oldest are removed.
KERNELS_MAX = 2
#: Number of initial file systems of each kind to keep beside a kernel: checkouts that differ take turns, and a running
#: machine boots again from its own one.
INITRDS_MAX = 8


@dataclass(frozen=True, slots=True)
class Image:
    """A kernel and its initial file system. `release` is the output of `uname -r`."""

    release: str
    kernel: Path
    initrd: Path


def cache_directory() -> Path:
    """Return where images are kept between runs and between checkouts."""
    chosen = os.environ.get("HAGIT_CACHE")
    if chosen:
        return Path(chosen) / "lab"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hagit" / "lab"


def image(flavour: str = "amd64", progress: Progress = lambda text: None, *, storage: bool = False) -> Image:
    """Return the image of the kernel that apt would install now, plain or for storage; builds it if it is missing.

    Without a network, a kernel from the cache serves as well. Raises ImageError.
    """
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with alone(cache / "lock"):
        kernel = _kernel(cache, flavour, progress)
        release = (kernel / "release").read_text().strip()
        initrd = _initrd(kernel, release, zfs(kernel, release, progress) if storage else None, progress)
        os.utime(kernel)
        for old in sorted(cache.glob("kernel-*"), key=lambda path: path.stat().st_mtime)[:-KERNELS_MAX]:
            shutil.rmtree(old)
    return Image(release, kernel / "vmlinux", initrd)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Let one process build while others wait: flock(2) ends with its holder, so no lock is ever stale."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _kernel(cache: Path, flavour: str, progress: Progress) -> Path:
    """Return the directory of the kernel to use: `vmlinux`, `modules/`, `release`."""
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
        run(["apt-get", "-q", "update"], cache)
        return _newest(cache, flavour, progress)


def _newest(cache: Path, flavour: str, progress: Progress) -> Path:
    """Return the kernel that apt would install now; unpacks it if the cache does not have it."""
    package, version = _candidate(cache, flavour)
    # A changed list of members makes another kernel.
    made = cache / f"kernel-{package}_{version}_{hashlib.sha256(repr(MEMBERS).encode()).hexdigest()[:8]}"
    if not made.is_dir():
        _unpack(package, version, made, progress)
    return made


def _candidate(cache: Path, flavour: str) -> tuple[str, str]:
    """Return name and version of the package with the flavour's newest kernel."""
    shown = run(["apt-cache", "show", "--no-all-versions", f"linux-image-{flavour}"], cache, LISTS)
    found = re.search(rf"^Depends: (linux-image-\d\S*-{re.escape(flavour)}) \(= (\S+)\)", shown, re.MULTILINE)
    if found is None:
        raise ImageError(f"apt knows no kernel of linux-image-{flavour}{LISTS}")
    return found[1], found[2]


def _unpack(package: str, version: str, made: Path, progress: Progress) -> None:
    """Download the package and keep the files that a machine needs."""
    with tempfile.TemporaryDirectory(prefix="building-", dir=made.parent) as name:
        work = Path(name)
        progress(f"lab: downloading {package} {version} (about 70 MB)")
        run(["apt-get", "-q", "download", f"{package}={version}"], work, LISTS)
        (archive,) = work.glob("*.deb")
        progress("lab: unpacking the kernel")
        (work / "tree").mkdir()
        members = " ".join(f"'{member}'" for member in MEMBERS)
        run(["sh", "-c", f"dpkg-deb --fsys-tarfile {archive.name} | tar -x -C tree --wildcards {members}"], work)
        (modules,) = (work / "tree/lib/modules").iterdir()
        run([str(BUSYBOX), "depmod", "-b", str(work / "tree"), modules.name], work)
        result = work / "result"
        result.mkdir()
        (result / "release").write_text(modules.name + "\n")
        _bare_kernel((work / "tree/boot" / f"vmlinuz-{modules.name}").read_bytes(), result / "vmlinux")
        modules.rename(result / "modules")
        result.rename(made)


def _bare_kernel(packed: bytes, place: Path) -> None:
    """Extract the ELF kernel from a bzImage: QEMU starts it by PVH four seconds sooner than the guest can unpack it.

    Kernels that are not packed with xz stay as they are: they boot the ordinary way.
    """
    start = packed.find(b"\xfd7zXZ\x00")
    bare = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(packed[start:]) if start >= 0 else packed
    place.write_bytes(bare if bare.startswith(b"\x7fELF") else packed)


def module_files(image: Image, *names: str) -> tuple[Path, ...]:
    """Return the files of these modules of the image's kernel and of their dependencies, in loading order.

    For modules that only a few machines need; they get them as a share. Raises ImageError for an unknown module.
    """
    modules = image.kernel.parent / "modules"
    return tuple(modules / path for path in _module_files(modules, names))


def _module_files(modules: Path, names: tuple[str, ...]) -> list[str]:
    """Return the files of these modules and their dependencies, dependencies first, relative to `modules`."""
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

    for name in names:
        if (known := name.replace("-", "_")) in by_name:
            add(by_name[known])
        elif name not in builtin:
            raise ImageError(f"the kernel package has no module {name}")
    return ordered


def _initrd(kernel: Path, release: str, pools: Zfs | None, progress: Progress) -> Path:
    """Return the initial file system for this kernel and the present `guest/`, named by the digest of its content."""
    names = (*MODULES, *STORAGE) if pools else MODULES
    files = [kernel / "modules" / path for path in _module_files(kernel / "modules", names)]
    files += pools.modules if pools else ()
    digest = hashlib.sha256("\n".join([release, *(str(path.relative_to(kernel)) for path in files)]).encode())
    digest.update(repr((PARTS, UNITS)).encode() if pools else b"")
    sources = (GUEST / "init", GUEST / "agent.py", *((GUEST / "links",) if pools else ()))
    for source in (BUSYBOX, *sources):
        digest.update(source.read_bytes())
    kind = "storage" if pools else "initrd"
    made = kernel / f"{kind}-{digest.hexdigest()[:16]}.cpio"
    if made.is_file():
        os.utime(made)
        return made
    progress("lab: making the initial file system")
    with tempfile.TemporaryDirectory(prefix="building-", dir=kernel) as name:
        work, root = Path(name), Path(name) / "root"
        for directory in ("bin", "dev", "proc", "sys", "tmp", "run", "lab/modules"):
            (root / directory).mkdir(parents=True)
        shutil.copy(BUSYBOX, root / "bin/busybox")
        for source in sources:
            shutil.copy(source, root / "lab" / source.name)
        (root / "lab/init").rename(root / "init")
        (root / "init").chmod(0o755)
        for number, path in enumerate(files):
            shutil.copy(path, root / "lab/modules" / f"{number:03}-{path.name}")
        if pools:
            shutil.copytree(pools.tree, root / "lab/zfs", symlinks=True)
        run(["sh", "-c", "cd root && find . | sort | cpio -o -H newc --quiet > ../initrd"], work)
        for old in sorted(kernel.glob(f"{kind}-*.cpio"), key=lambda path: path.stat().st_mtime)[: 1 - INITRDS_MAX]:
            old.unlink()
        (work / "initrd").rename(made)
    return made


def main() -> int:
    """Build the image and print each step. On failure: exit status 1 and one line."""
    storage = sys.argv[1:] == ["storage"]
    try:
        built = image(progress=lambda text: print(text, file=sys.stderr, flush=True))
        if storage:
            built = image(progress=lambda text: print(text, file=sys.stderr, flush=True), storage=True)
    except ImageError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    pools = "".join(
        f" with ZFS {path.name.removeprefix('zfs-')}" for path in built.kernel.parent.glob("zfs-*") if storage
    )
    print(f"lab: Linux {built.release}{pools} in {built.kernel.parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
