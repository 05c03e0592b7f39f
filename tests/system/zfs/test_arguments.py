"""Argument vectors, and what is refused before anything is run."""

from collections.abc import Callable

import pytest

from reconciler.core.facts.storage import DatasetKind
from reconciler.system.zfs import arguments
from reconciler.system.zfs.perform import (
    Denied,
    Result,
    create_dataset,
    create_pool,
    destroy_dataset,
    inherit,
    set_pool_property,
    set_property,
)
from reconciler.system.zfs.values import LayoutVdev, PoolLayout, VdevKind

MIRROR = LayoutVdev(VdevKind.MIRROR, ("d1", "d2"))
LAYOUT = PoolLayout(
    vdevs=(MIRROR, LayoutVdev(VdevKind.RAIDZ2, ("d3", "d4", "d5"))),
    special=(LayoutVdev(VdevKind.MIRROR, ("s1", "s2")),),
    log=(LayoutVdev(VdevKind.DISK, ("l1",)),),
    cache=("c1", "c2"),
    spares=("p1",),
)


def test_a_pool_is_created_in_no_cachefile_and_panics() -> None:
    argv = arguments.create_pool("tank", LAYOUT, "/by", {"ashift": "12"}, {"compression": "lz4"}, force=False)
    assert " ".join(argv) == (
        "zpool create -o ashift=12 -o cachefile=none -o failmode=panic -O compression=lz4 tank"
        " mirror /by/d1 /by/d2 raidz2 /by/d3 /by/d4 /by/d5 special mirror /by/s1 /by/s2 log /by/l1"
        " cache /by/c1 /by/c2 spare /by/p1"
    )


def test_an_import_names_its_devices_and_mounts_nothing_or_everything() -> None:
    devices = ["/dev/a1", "/dev/b1"]
    options = "zpool import -d /dev/a1 -d /dev/b1 -o cachefile=none -o failmode=panic"
    assert " ".join(arguments.import_pool(77, devices)) == f"{options} -N -f 77"
    assert " ".join(arguments.import_pool(77, devices, mount=True)) == f"{options} -l -f 77"


def test_changes() -> None:
    assert arguments.set_properties("tank/a", {"quota": "1", "atime": "off"}) == (
        *("zfs", "set", "atime=off", "quota=1"),
        "tank/a",
    )
    volume = arguments.create_dataset("tank/v", DatasetKind.VOLUME, {}, 1 << 20, sparse=True, parents=True)
    assert volume == ("zfs", "create", "-p", "-s", "-V", "1048576", "tank/v")
    assert "-r" not in arguments.destroy_dataset("tank/a"), "children are never taken along"


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (lambda: create_pool("-f", LAYOUT), "is no name of a pool"),
        (lambda: create_pool("mirror1", LAYOUT), "begins like a word of a layout"),
        (lambda: create_pool("tank", PoolLayout(())), "needs a vdev"),
        (lambda: create_pool("tank", PoolLayout((LayoutVdev(VdevKind.DISK, ("../sda",)),))), "is no disk"),
        (lambda: create_pool("tank", LAYOUT, settings={"-o": "x"}), "is no name of a property"),
        (lambda: create_pool("tank", PoolLayout((MIRROR,), cache=("",))), "is no disk"),
        (lambda: set_pool_property("tank", "a b", "c"), "is no name of a property"),
        (lambda: create_dataset("tank/-a"), "is no name of a dataset"),
        (lambda: create_dataset("tank/v", DatasetKind.VOLUME), "a volume needs a size"),
        (lambda: create_dataset("tank/f", size_bytes=5), "a filesystem has none"),
        (lambda: set_property("tank/a@snap", {"a": "b"}), "is no name of a dataset"),
        (lambda: set_property("tank/a", {}), "nothing to set"),
        (lambda: set_property("tank/a", {"org.x:y": "v" * 9000}), "too long"),
        (lambda: inherit("tank//a", "quota"), "is no name of a dataset"),
        (lambda: destroy_dataset("tank"), "is the root of a pool"),
    ],
)
def test_what_cannot_be_meant_is_denied(run: Callable[[], Result], why: str) -> None:
    result = run()
    assert isinstance(result, Denied) and why in result.why
