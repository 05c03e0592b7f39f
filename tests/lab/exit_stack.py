"""A context manager whose resources end with its block, even after an exception."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closing(ABC):
    """A context manager that closes itself, also when `enter` fails."""

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
        """Acquire what the block needs."""

    @abstractmethod
    def close(self) -> None:
        """Release everything. A second call is no error."""
