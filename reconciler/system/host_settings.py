"""The adapters for settings of the host, one for each kind of `HostSetting`. A new kind is one line here.

Finds the adapter for a key and the file that it reads. Reading and writing one setting is the task of the module that
the line names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.host_setting import HostSetting
from reconciler.core.facts.ownership import Owner
from reconciler.core.facts.state import Unknown
from reconciler.errors import ObservationError
from reconciler.system import hostname, resolver

S = TypeVar("S", bound=HostSetting)


def _never_ours(_file: Path) -> bool:
    return False


@dataclass(frozen=True, slots=True, eq=False)
class HostSettingAdapter(Generic[S]):
    """How one kind of setting is read and written.

    `word`: the `word` of its FactKind. `file`: where it is kept, below the root directory. `read`: the setting; None if
    it is not set; Unknown if it cannot be read. `write`: makes the setting true, or removes it (None); doing what is
    done already is no error; raises PerformError. `is_ours`: whether hagit wrote it.
    """

    word: str
    file: str
    read: Callable[[Path], S | Unknown | None]
    write: Callable[[Path, S | None], None]
    is_ours: Callable[[Path], bool] = _never_ours


#: By the word of their kind.
ADAPTERS: Final[dict[str, HostSettingAdapter[Any]]] = {
    adapter.word: adapter
    for adapter in (
        HostSettingAdapter("hostname", "etc/hostname", hostname.read, hostname.write),
        HostSettingAdapter("resolver", "etc/resolv.conf", resolver.read, resolver.write, resolver.is_stamped),
    )
}


class HostSettings:
    """The settings of this controller. `files`: by word, files at another place than below `root`."""

    def __init__(self, root: Path, files: Mapping[str, Path]) -> None:
        self._files = {word: files.get(word, root / adapter.file) for word, adapter in ADAPTERS.items()}

    def observe(self) -> Iterator[tuple[HostSetting | Unknown, Owner]]:
        """Each setting that is set, or why it is unknown, and who made it."""
        for word, adapter in ADAPTERS.items():
            found = adapter.read(self._files[word])
            if found is not None:
                yield found, Owner.AGENT if adapter.is_ours(self._files[word]) else Owner.FOREIGN

    def observe_key(self, key: Key) -> Fact | None:
        """One setting; None if it is not set. Raises ObservationError."""
        found: HostSetting | Unknown | None = ADAPTERS[key[0]].read(self._files[key[0]])
        if isinstance(found, Unknown):
            raise ObservationError(found.why, where=str(self._files[key[0]]))
        return found

    def write(self, key: Key, after: HostSetting | None) -> None:
        """Make one setting true; None removes it. Raises PerformError."""
        ADAPTERS[key[0]].write(self._files[key[0]], after)
