"""What one change of a fact is: its place in a plan, its verb, and what clients notice of it.

Each kind of fact gives its place and its impact (`fact_kind`); plans put changes into this order. Holds no rule about
any kind.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class ActionStage(IntEnum):
    """The place of an action. Creating and changing run upwards; removing runs downwards and comes first.

    A mark comes before the port, so that an interrupted plan never leaves a port without an owner. SETTING: settings of
    the host that nothing else rests on.
    """

    HOSTNAME = 0
    RESOLVER = 1
    LINK = 2
    MARK = 3
    PORT = 4
    MTU = 5
    POWER = 6
    ADDRESS = 7
    ROUTE = 8
    POOL = 9
    DATASET = 10
    SETTING = 11


class ActionVerb(StrEnum):
    """What an action does with its fact."""

    CREATE = "create"
    CHANGE = "change"
    REMOVE = "remove"


class Impact(IntEnum):
    """What clients notice, from nothing to danger for data."""

    NONE = 0
    BLIP = 1
    TRAFFIC = 2
    DATA = 3
