"""What `zpool get -Hp`, `zfs get -Hp` and the like print: lines of fields with tabs between them, as values. Pure.

A value may contain anything but tabs and line ends as far as ZFS sets it; a user property may contain both, and then
its line is told from the next by the number of fields. Decides nothing.
"""

from __future__ import annotations

from typing import Final

from reconciler.system.zfs.values import PropertySource, Setting

INHERITED: Final = "inherited from "


def rows(text: str, fields: int) -> list[tuple[str, ...]]:
    """Every line with this number of fields; others are left out."""
    split = (tuple(line.split("\t")) for line in text.split("\n"))
    return [row for row in split if len(row) == fields]


def setting(value: str, source: str) -> Setting:
    """A value and its source, as `zfs get -o value,source` prints them."""
    if source.startswith(INHERITED):
        return Setting(value, PropertySource.INHERITED, source.removeprefix(INHERITED))
    if source in ("-", "none", ""):
        return Setting(value, PropertySource.NONE)
    try:
        return Setting(value, PropertySource(source))
    except ValueError:
        return Setting(value, PropertySource.NONE)


def settings_of(text: str) -> dict[str, dict[str, Setting]]:
    """`get -Hp -o name,property,value,source all`: the properties of each pool or dataset, in its order."""
    found: dict[str, dict[str, Setting]] = {}
    for name, key, value, source in rows(text, 4):
        found.setdefault(name, {})[key] = setting(value, source)
    return found
