"""Keyring: the secrets of a pair, one that seals the beats that a controller sends, and others that it accepts.

With two accepted secrets the controllers can change theirs one after the other and always understand each other: both
accept the new one, both send with it, both drop the old one. Identifies a secret by a fingerprint, which is not secret.
Does not know files, nor the sealed formats (`wire` and `disk_record`).
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

#: The used secret, the next one and the previous one.
SECRETS_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Keyring:
    """Secrets of a controller: `current` seals its beats. It accepts `current` and `others`, the next secret first.

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
        """The fingerprint that beats carry: that of the first accepted secret besides the current one; 0 for none."""
        return self.prints[1] if len(self.prints) > 1 else 0

    def shares(self, other: Keyring) -> bool:
        """Whether controllers with these two keyrings have an accepted secret in common."""
        return not set(self.accepted).isdisjoint(other.accepted)


@lru_cache(maxsize=16)
def fingerprint(secret: bytes) -> int:
    """Return 32 bits that tell secrets apart, never 0. They reveal nothing about a secret of at least 32 bytes."""
    return int.from_bytes(derive(secret, Purpose.FINGERPRINT).material[:4]) or 1


def fingerprint_text(number: int) -> str:
    """Return a fingerprint for people: 8 hexadecimal digits; empty for 0."""
    return f"{number:08x}" if number else ""


def decode_any(data: bytes, keys: Sequence[K], decode: Callable[[bytes, K], T | Refused]) -> tuple[T | Refused, int]:
    """Decode bytes with the first key whose seal fits. Return the result and the key's index; -1 if they are refused.

    The keys are derived from different secrets for the same purpose and context.
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
