"""Refusals: why a decoder refuses bytes from outside. Decoders return these values instead of raising.

Makes no decisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Refusal(Enum):
    """A defect of the bytes. The value is the sentence for people.

    A decoder checks all but AUTHENTIC_DEFECT before the seal has authenticated the bytes. So they only tell people
    where to look, and that the bytes were ignored.
    """

    LENGTH = "not as long as such bytes are"
    FOREIGN = "not written by hagit"
    VERSION = "written in another version of the format"
    KIND = "written for another purpose"
    PAIR = "written by another pair"
    WAY = "written for another channel or disk"
    REFLECTED = "written by this controller itself"
    SENDER = "written by neither controller of the pair"
    BLANK = "never written"
    TORN = "half old and half new"
    VRRP = "an advertisement of VRRP, not of CARP"
    CHECKSUM = "damaged on the way: the checksum does not fit"
    SEAL = "damaged, or sealed with another secret"
    AUTHENTIC_DEFECT = "sealed by the pair, but not in the one form that is allowed"


@dataclass(frozen=True, slots=True)
class Refused:
    """Refused bytes. `detail`: the place and the defect, in at most 200 characters."""

    why: Refusal
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.why.value} ({self.detail})" if self.detail else self.why.value
