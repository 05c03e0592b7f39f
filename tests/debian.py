"""What a controller has that runs Debian and the package: built and installed by dpkg, into a root of its own.

Decides which units such a system has: those of the package, those of ZFS that Debian enables and the one besides that
imports whatever it finds (only the masks of the package keep it from that), and none of the host's
that a controller of the tests has no use for. Does not know how such a system is booted.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
UNITS: Final = "etc/systemd/system"
STEP_S: Final = 300
#: Each would cost an emulated processor a tenth of a second and more.
MASKED: Final = (
    "dbus.service", "dbus.socket", "getty.target", "systemd-binfmt.service", "systemd-firstboot.service",
    "systemd-logind.service", "systemd-machine-id-commit.service", "systemd-random-seed.service",
    "systemd-sysusers.service", "systemd-update-utmp-runlevel.service", "systemd-update-utmp.service",
    "systemd-user-sessions.service", "proc-sys-fs-binfmt_misc.automount", "systemd-pcrphase.service",
    "systemd-pcrphase-sysinit.service", "systemd-modules-load.service", "kmod-static-nodes.service",
    "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "dev-hugepages.mount", "dev-mqueue.mount",
    "systemd-tmpfiles-setup.service", "systemd-tmpfiles-setup-dev.service", "systemd-tmpfiles-clean.timer",
    "systemd-ask-password-console.path", "systemd-ask-password-wall.path", "systemd-journal-flush.service",
    "systemd-repart.service", "sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "cryptsetup.target",
    "integritysetup.target", "veritysetup.target",
    # The nodes of the tests follow no repository; the tests publish the orders.
    "hagit-agent.service",
)  # fmt: skip
#: Units of ZFS with what wants them.
OF_ZFS: Final = {
    "zfs.target": "multi-user.target",
    "zfs-import.target": "zfs.target",
    "zfs-mount.service": "zfs.target",
    "zfs-import-cache.service": "zfs-import.target",
    "zfs-import-scan.service": "zfs-import.target",
}
#: Those of them that nobody but hagit may stand in for.
IMPORTERS: Final = ("zfs-import-cache.service", "zfs-import-scan.service")
WATCHDOG: Final = "hagit-watchdog.service"


def ran(*words: str | Path) -> str:
    """What a program printed."""
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=STEP_S)
    assert done.returncode == 0, f"{shlex.join(map(str, words))}\n{done.stdout}{done.stderr}"
    return done.stdout


def package(place: Path) -> Path:
    """The package of this checkout, built there; or the one that HAGIT_PACKAGE names, which should be it."""
    if built := os.environ.get("HAGIT_PACKAGE"):
        return Path(built)
    return Path(ran(sys.executable, "packaging/deb.py", place).strip())


def bare(root: Path) -> None:
    """A root in which nothing is installed yet, with root and nobody."""
    for directory in (UNITS, "var/lib/dpkg/info", "var/lib/dpkg/updates"):
        (root / directory).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")


def dpkg(root: Path, *words: str | Path) -> None:
    """dpkg for that root. Its Python and its systemd are the host's; this root's dpkg knows of neither."""
    ran("dpkg", f"--root={root}", "--force-script-chrootless", "--force-depends", *words)


def installed(place: Path) -> Path:
    """A root with the package, and with ZFS's units enabled before it came."""
    root = place / "installed"
    bare(root)
    for unit, target in OF_ZFS.items():
        enable(root, unit, target)
    dpkg(root, "-i", package(place / "package"))
    return root


def enable(root: Path, unit: str, target: str, units: str = "/lib/systemd/system") -> None:
    """As `systemctl enable` does for a unit that lies in `units`."""
    wants = root / UNITS / f"{target}.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / unit).symlink_to(f"{units}/{unit}")


def quiet(root: Path) -> None:
    """What an administrator could write to boot to nothing but the package's units: masks and the target."""
    units, generators = root / UNITS, root / "etc/systemd/system-generators"
    for directory in (units, generators):
        directory.mkdir(parents=True, exist_ok=True)
    for unit in MASKED:
        (units / unit).symlink_to("/dev/null")
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    for path in Path("/lib/systemd/system-generators").iterdir():
        if path.name != "systemd-fstab-generator":
            (generators / path.name).symlink_to("/dev/null")
