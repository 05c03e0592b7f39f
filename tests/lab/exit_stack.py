"""What ends with its block, whatever happens in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closing(ABC):
    """A context manager that closes itself, also when its block cannot begin."""

    def __enter__(self) -> Self:
        try:
            self.enter()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def enter(self) -> None:  # noqa: B027 (most need no more than to be there)
        """What the block begins with."""

    @abstractmethod
    def close(self) -> None:
        """End it. Doing it twice is no error."""
