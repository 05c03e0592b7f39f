"""The secrets of a pair: one that seals what is sent, and others that are accepted beside it.

With two accepted secrets the controllers change theirs one after the other and understand each other all the while:
both accept the new one, both send with it, both drop the old one. Names a secret by a fingerprint, which is no secret.
Does not know files; `wire` and `record` know what is sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeVar

from reconciler.core.failover.heartbeats.authentication import Purpose, derive
from reconciler.core.failover.refusal import Refusal, Refused

K = TypeVar("K")
T = TypeVar("T")

#: The one that is used, the next one, the previous one.
SECRETS_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Keyring:
    """`current` seals what is sent; what is received may be sealed with it or with one of `others`, the next one first.

    Its `repr` shows no secret.
    """

    current: bytes = field(repr=False)
    others: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def accepted(self) -> tuple[bytes, ...]:
        """All secrets, each once, the current one first."""
        return tuple(dict.fromkeys((self.current, *self.others)))[:SECRETS_MAX]

    @property
    def prints(self) -> tuple[int, ...]:
        """The fingerprints of `accepted`."""
        return tuple(fingerprint(secret) for secret in self.accepted)

    @property
    def announced(self) -> int:
        """The fingerprint that beats carry: of the first secret accepted besides the current one; 0 for none."""
        return self.prints[1] if len(self.prints) > 1 else 0

    def shares(self, other: Keyring) -> bool:
        """Whether a controller with the one still understands something of a controller with the other."""
        return not set(self.accepted).isdisjoint(other.accepted)


@lru_cache(maxsize=16)
def fingerprint(secret: bytes) -> int:
    """32 bits that tell secrets apart, never 0. They say nothing about a secret that is as long as ours are."""
    return int.from_bytes(derive(secret, Purpose.FINGERPRINT).material[:4]) or 1


def spelled(number: int) -> str:
    """A fingerprint as people see it, 8 hexadecimal digits; 0 is empty."""
    return f"{number:08x}" if number else ""


def decode_any(data: bytes, keys: Sequence[K], decode: Callable[[bytes, K], T | Refused]) -> tuple[T | Refused, int]:
    """What `decode` makes of the bytes with the first key that vouches for them, and its index; -1 when it is refused.

    The keys follow from different secrets and are alike in all else.
    """
    assert keys
    found: T | Refused = Refused(Refusal.SEAL)
    for at, key in enumerate(keys):
        found = decode(data, key)
        if not isinstance(found, Refused):
            return found, at
        if found.why is not Refusal.SEAL:
            break
    return found, -1
