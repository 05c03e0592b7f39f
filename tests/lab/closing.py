"""What ends with its block, whatever happens in it."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
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

    def enter(self) -> None:
        """What the block begins with."""

    def close(self) -> None:
        """End it. Doing it twice is no error."""
        raise NotImplementedError
