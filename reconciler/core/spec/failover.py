"""The kind Failover: when the active controller changes by itself, and how often.

Decides the shape of the policy. Whether it can be safe is told by `core/failover/orders/safety_checks`, whose
arithmetic `lint` brings to the line that is responsible; how it becomes orders is in `orders`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from reconciler.core.facts.scope import Scope
from reconciler.core.facts.settings import InterfaceEdits
from reconciler.core.spec.interface import Loose
from reconciler.core.spec.limits import LIST_MAX
from reconciler.core.spec.model import Document, Model, example
from reconciler.core.spec.power import FailoverPower
from reconciler.core.spec.resource_kind import ResourceKind
from reconciler.core.spec.values import DiskName, Duration, Wait


def _time(text: str, seconds: float, description: str) -> Any:
    """A field for a duration with its default, as people write it and in seconds."""
    shown: dict[str, Any] = {"default": text, "examples": [text]}
    return Field(seconds, validate_default=False, json_schema_extra=shown, description=description)


class ControllerName(StrEnum):
    """One of the two, as `a:` and `b:` name them."""

    A = "a"
    B = "b"


class FailoverHeartbeat(Model):
    """How often the controllers speak, and after which silence one counts as silent."""

    interval: Duration = _time("200ms", 0.2, "Between two heartbeats on each network.")
    silence: Duration = _time("1s", 1.0, "A network is silent after this. At least two intervals and the worst pause.")
    disk_interval: Duration = _time(
        "250ms", 0.25, "Between two heartbeats on the arbitration disks, and between two looks at the disks."
    )
    disk_stale: Duration = _time(
        "1500ms", 1.5, "The heartbeat on the disks is stale after this. At least three disk intervals plus the pause."
    )
    pause: Duration = _time(
        "400ms",
        0.4,
        "The longest time that the watchdog of a healthy controller may be kept from running. Both limits above have "
        "to allow for it.",
    )


class FailoverLimits(Model):
    """How long something may stand still before a controller gives it up. What goes on is never ended by a clock."""

    import_: Duration = Field(
        60.0,
        alias="import",
        validate_default=False,
        json_schema_extra={"default": "60s", "examples": ["60s"]},
        description="An import that has not gone on for this long hangs: the controller resets itself, and the other "
        "one tries. Pools, mounted filesystems, requests that disks have ended and the processor time of the importing "
        "programs are counted; processor time alone counts for an hour of it.",
    )
    export: Duration = _time(
        "5s",
        5.0,
        "The same for an export. A switchover that open files keep from going on ends then, and the controller "
        "serves again.",
    )
    proof: Duration | None = Field(
        None,
        json_schema_extra={"examples": ["6s"]},
        description="How long the active controller goes on serving while its disks do not say that it holds them: the "
        "longest stall of a shelf that moves nothing. A takeover that has to wait for the old owner waits for this and "
        "the deadman. Without it 4s, or what the deadman leaves of 15 s, at least 2s.",
    )


class MovesBudget(Model):
    """Failovers by themselves within a time."""

    moves: int = Field(3, ge=1, le=1000, description="How many failovers are allowed.")
    per: Duration = _time("1h", 3600.0, "In which time they count.")


class ResetsBudget(Model):
    """Resets of a controller by itself within a time."""

    count: int = Field(3, ge=1, le=1000, description="How many resets are allowed.")
    per: Duration = _time("1h", 3600.0, "In which time they count.")


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
        description="Whether pools move by themselves. When false, the active one stays active; after a boot none is.",
    )
    default_controller: Annotated[ControllerName, Loose] = Field(
        ControllerName.A, description="Who takes the pools when both start and neither has them."
    )
    timeout: Wait = _time("0s", 0.0, "How much longer a network interruption is borne before the standby takes over.")
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
    maintenance: Duration = _time("8h", 28_800.0, "The longest maintenance a person may ask for at once.")
    deadman: Duration = _time("5s", 5.0, "The hardware watchdog resets a controller that has not fed it for this long.")
    limits: FailoverLimits = Field(
        default_factory=lambda: FailoverLimits.model_validate({}),
        description="How long an import, an export and the proof of the reservation may stand still.",
    )
    interface_edits: Annotated[InterfaceEdits, Loose] = Field(
        InterfaceEdits.ROLLING,
        description="When a commit may change interfaces. `rolling`: any time, the standby first. `locked`: only while "
        "failover is disabled, by a commit or by `hagit failover disable --for`, whatever else is wrong.",
    )
    strict: bool = Field(
        False,
        description="Whether the new active controller answers clients only when the old one has surely been reset. "
        "Takes longer; without it a controller that hangs may go on answering reads for some seconds.",
    )
    carp: FailoverCarp = Field(
        default_factory=lambda: FailoverCarp.model_validate({}),
        description="How the virtual addresses are advertised.",
    )
    power: FailoverPower | None = Field(
        None, description="How the power of each controller is switched, to be sure that one is off. Not needed."
    )


class FailoverDocument(Document):
    """When the active controller changes by itself, and how often."""

    model_config = example(
        "Failover",
        "failover",
        arbitration=["wwn-0x5000c500a1b2c301", "wwn-0x5000c500a1b2c303", "wwn-0x5000c500a1b2c305"],
        defaultController="a",
    )

    kind: Literal["Failover"] = Field(description="Always `Failover`.")
    spec: FailoverSpec = Field(description="Timers, arbitration and limits.")


FAILOVER = ResourceKind("Failover", FailoverDocument, FailoverSpec, Scope.FAILOVER, single=True)
