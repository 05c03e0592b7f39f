"""No dataset covers the system, lies in it, or takes the place of hagit's own files."""

import pytest

from reconciler.core.facts.mountpoints import system_place


@pytest.mark.parametrize(
    "path",
    [
        "/", "//", "/.", "/srv/..", "/srv/../etc", "/etc", "/etc/", "//etc//hagit", "/./etc", "/root/.ssh",
        "/usr/lib/hagit",
        "/usr", "/usr/local/sbin", "/var", "/var/lib", "/var/lib/hagit", "/var/lib/hagit/state", "/run/hagit",
        "/proc/1", "/boot/efi", "/var/spool/cron/crontabs", "/opt", "/tmp/x", "/dev/shm", "/var/lib/dpkg/info",
    ],
)  # fmt: skip
def test_a_place_of_the_system_is_told(path: str) -> None:
    assert system_place(path)


@pytest.mark.parametrize(
    "path",
    ["/srv", "/srv/home", "/home", "/tank", "/export/etc", "/mnt/root", "/etcetera", "/var/lib/nfs", "/opt/x"],
)
def test_a_place_for_data_is_none(path: str) -> None:
    assert system_place(path) == ""
    assert system_place(path, ["/srv-state", "/data/hagit"]) == ""


@pytest.mark.parametrize("path", ["/srv/state", "/srv/state/mirror", "/srv"])
def test_what_a_controller_adds_counts_as_well(path: str) -> None:
    assert system_place(path, ["/srv/state"]) == "/srv/state"
