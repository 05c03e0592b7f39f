"""Power fencing as a person writes it: which fence agent switches each controller, and its plain options.

Decides the shape of a value; which agents and options there are is looked at by `lint/power`. Nothing secret has a
place here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from reconciler.core.failover.reservations.key import Side
from reconciler.core.power.options import VALUE, VALUE_LENGTH_MAX
from reconciler.core.power.plan import Option, PowerPlan, PowerSwitch
from reconciler.core.spec.model import Model
from reconciler.core.spec.values import Duration, refuse, shown

TIMEOUT_S: Final = (3.0, 600.0)
CHECK_S: Final = (5.0, 86_400.0)
OPTIONS_MAX: Final = 40


def _value(value: Any) -> str:
    """What an agent reads: text as it is, numbers in digits, true as 1."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise refuse("not-text", f"an option is text, a number or a truth value, not {shown(value)}", "Quote it.")
    return value


def _within(least: float, most: float, words: str) -> Any:
    def check(seconds: float) -> float:
        if not least <= seconds <= most:
            raise refuse("power-time", f"{seconds:g} s is outside of what is sensible here", f"Write {words}.")
        return seconds

    return AfterValidator(check)


OptionValue = Annotated[
    str,
    PlainValidator(_value),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": f"^{VALUE}$"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}]}
    ),
]


def _time(text: str, seconds: float, description: str) -> Any:
    shown_: dict[str, Any] = {"default": text, "examples": [text]}
    return Field(seconds, validate_default=False, json_schema_extra=shown_, description=description)


class PowerAgent(Model):
    """How the power of one controller is switched, by the other one."""

    agent: str = Field(
        min_length=1,
        max_length=VALUE_LENGTH_MAX,
        json_schema_extra={"pattern": "^fence_[a-z0-9_]{1,42}$"},
        description="A fence agent of Debian's package fence-agents, by its name. A name that begins with "
        "`fence_local_` stands for another program that speaks the same language: [fence_agents] of the node file "
        "says which.",
        examples=["fence_ipmilan", "fence_redfish", "fence_apc"],
    )
    options: dict[str, OptionValue] = Field(
        default_factory=dict,
        max_length=OPTIONS_MAX,
        description="What the agent has to know and everybody may: address, user name, plug. `fence_ipmilan -o "
        "metadata` lists the options. Passwords and keys belong in files that [power] of the node file names.",
        examples=[{"ip": "10.0.9.12", "username": "hagit", "lanplus": True}],
    )
    timeout: Annotated[Duration, _within(*TIMEOUT_S, "3s to 10m")] = _time(
        "20s", 20.0, "How long the agent may take to cut the power and to say that it is off."
    )


class FailoverPower(Model):
    """Power fencing: a second means beside the reservations of the disks. Never the first one."""

    a: PowerAgent | None = Field(None, description="How controller b switches the power of controller a.")
    b: PowerAgent | None = Field(None, description="How controller a switches the power of controller b.")
    check: Annotated[Duration, _within(*CHECK_S, "5s to 24h")] = _time(
        "60s", 60.0, "Between two checks that the peer's switch answers, knows us and means the right machine."
    )
    restart: bool = Field(
        True,
        description="Whether a controller whose power was cut after a takeover is switched on again once the pools are "
        "served. One that a person switched off stays off.",
    )

    def agents(self) -> Iterator[tuple[str, PowerAgent]]:
        """What is written, each with its key."""
        for name in ("a", "b"):
            agent = getattr(self, name)
            if agent is not None:
                yield name, agent


def power_plan(pair: str, power: FailoverPower | None) -> PowerPlan | None:
    """The plan that the watchdogs follow; None without power fencing."""
    if power is None:
        return None
    switches = tuple(
        PowerSwitch(
            Side(name),
            agent.agent,
            tuple(Option(key, value) for key, value in sorted(agent.options.items())),
            round(agent.timeout * 1_000),
        )
        for name, agent in power.agents()
    )
    return PowerPlan(pair, switches, round(power.check * 1_000), power.restart)
