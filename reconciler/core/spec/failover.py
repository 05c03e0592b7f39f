"""The kind Failover: when the active controller changes by itself, and how often.

Decides the shape of the policy. Whether it can be safe is told by `core/failover/unsafe`, whose arithmetic `lint`
brings to the line that is responsible; how it becomes orders is in `orders`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from reconciler.core.spec.interface import Loose
from reconciler.core.spec.limits import LIST_MAX
from reconciler.core.spec.model import Document, Model, example
from reconciler.core.spec.values import DiskName, Duration, Wait


class ControllerName(StrEnum):
    """One of the two, as `a:` and `b:` name them."""

    A = "a"
    B = "b"


class FailoverHeartbeat(Model):
    """How often the controllers speak, and after which silence one counts as silent."""

    interval: Duration = Field(
        0.2,
        validate_default=False,
        json_schema_extra={"default": "200ms"},
        description="Between two heartbeats on each network.",
    )
    silence: Duration = Field(
        1.0,
        validate_default=False,
        json_schema_extra={"default": "1s"},
        description="A network is silent after this. At least two intervals and the worst pause.",
    )
    disk_interval: Duration = Field(
        0.25,
        validate_default=False,
        json_schema_extra={"default": "250ms"},
        description="Between two heartbeats on the arbitration disks, and between two looks at the disks.",
    )
    disk_stale: Duration = Field(
        1.5,
        validate_default=False,
        json_schema_extra={"default": "1500ms"},
        description="The heartbeat on the disks is stale after this. At least three disk intervals plus the pause.",
    )
    pause: Duration = Field(
        0.4, validate_default=False, json_schema_extra={"default": "400ms"},
        description="The longest time that the watchdog of a healthy controller may be kept from running. Both limits "
        "above have to allow for it.",
    )  # fmt: skip


class MovesBudget(Model):
    """Failovers by themselves within a time."""

    moves: int = Field(3, ge=1, le=1000, description="How many failovers are allowed.")
    per: Duration = Field(
        3600.0, validate_default=False, json_schema_extra={"default": "1h"}, description="In which time they count."
    )


class ResetsBudget(Model):
    """Resets of a controller by itself within a time."""

    count: int = Field(3, ge=1, le=1000, description="How many resets are allowed.")
    per: Duration = Field(
        3600.0, validate_default=False, json_schema_extra={"default": "1h"}, description="In which time they count."
    )


class FailoverCarp(Model):
    """How the active controller advertises the virtual addresses (CARP)."""

    advbase: int = Field(1, ge=0, le=255, description="Whole seconds between two advertisements.")
    advskew: int = Field(
        0, ge=0, le=254, description="1/256 seconds that are added. With advbase 0 they alone count: 25 is 98 ms."
    )
    virtual_mac: bool = Field(
        False,
        description="Whether the virtual addresses have a MAC address of their own, 00:00:5e:00:01:VHID, instead of "
        "that of the NIC. Clients then need not learn a new one; some switches do not like it.",
    )


class FailoverSpec(Model):
    """Failover by itself. There is at most one Failover; without it nothing moves."""

    enabled: bool = Field(
        True,
        description="Whether anything moves by itself. When false, the active one stays, and after a boot nobody is.",
    )
    default_controller: Annotated[ControllerName, Loose] = Field(
        ControllerName.A, description="Who takes the pools when both start and nobody has them."
    )
    timeout: Wait = Field(
        0.0,
        validate_default=False,
        json_schema_extra={"default": "0s"},
        description="How much longer a network interruption is borne before the standby takes over.",
    )
    heartbeat: FailoverHeartbeat = Field(
        default_factory=lambda: FailoverHeartbeat.model_validate({}),
        description="How often the controllers speak, and which silence counts.",
    )
    arbitration: list[DiskName] = Field(
        default_factory=list,
        max_length=LIST_MAX,
        description="The disks that decide who wins when both controllers reach for the pools, in a fixed order: an "
        "odd number, best three in different enclosures or on different cables. They carry the disk heartbeat, too.",
    )
    budget: MovesBudget = Field(
        default_factory=lambda: MovesBudget.model_validate({}),
        description="How often the pair may fail over by itself before it stays still and alerts.",
    )
    resets: ResetsBudget = Field(
        default_factory=lambda: ResetsBudget.model_validate({}),
        description="How often a controller may reset itself before it stays standby and alerts.",
    )
    maintenance: Duration = Field(
        28_800.0,
        validate_default=False,
        json_schema_extra={"default": "8h"},
        description="The longest maintenance a person may ask for at once.",
    )
    deadman: Duration = Field(
        5.0,
        validate_default=False,
        json_schema_extra={"default": "5s"},
        description="The hardware watchdog resets a controller that has not fed it for this long.",
    )
    strict: bool = Field(
        False,
        description="Whether the new active controller answers clients only when the old one has surely been reset. "
        "Takes longer; without it a controller that hangs may go on answering reads for some seconds.",
    )
    carp: FailoverCarp = Field(
        default_factory=lambda: FailoverCarp.model_validate({}),
        description="How the virtual addresses are advertised.",
    )  # fmt: skip


class Failover(Document):
    """When the active controller changes by itself, and how often."""

    model_config = example(
        "Failover",
        "failover",
        arbitration=["wwn-0x5000c500a1b2c301", "wwn-0x5000c500a1b2c303", "wwn-0x5000c500a1b2c305"],
        defaultController="a",
    )

    kind: Literal["Failover"] = Field(description="Always `Failover`.")
    spec: FailoverSpec = Field(description="Timers, arbitration and limits.")
