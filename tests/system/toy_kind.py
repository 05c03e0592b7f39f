"""An invented kind of resource with its own kind of fact and adapter, and the lines that register them.

Run as a program it takes the kind, in a directory, through all that a controller does with it: YAML, plan, saved plan,
action, look, removal. It prints what it saw as JSON. Registering changes tables of the process, hence a program.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from reconciler.core.facts.fact_kind import FactKind
from reconciler.core.facts.fact_kinds import FACT_KINDS
from reconciler.core.facts.host_setting import HostSetting
from reconciler.core.facts.scope import Scope
from reconciler.core.facts.state import Observed, Unknown
from reconciler.core.planning.drift import see
from reconciler.core.planning.plan_document import plan_document, plan_from_document
from reconciler.core.planning.planner import make_plan
from reconciler.core.planning.render import render_plan
from reconciler.core.spec.compiler import compile_desired
from reconciler.core.spec.configuration import Configuration
from reconciler.core.spec.explanation import explain
from reconciler.core.spec.kinds import KINDS
from reconciler.core.spec.loader import load
from reconciler.core.spec.model import API_VERSION, Document, Model, example
from reconciler.core.spec.resource_kind import Asked, ResourceKind
from reconciler.core.spec.schema import json_schema
from reconciler.core.spec.topology import ControllerTopology
from reconciler.core.spec.values import HostAddress
from reconciler.simulation.fake_network import FakeNetwork
from reconciler.system.host_settings import ADAPTERS, HostSettingAdapter
from reconciler.system.netlink.live_network import LiveNetwork

# The module of facts.


@dataclass(frozen=True, slots=True)
class ToyServers(HostSetting):
    """NTP servers by address, in their order."""

    servers: tuple[str, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """The question this fact answers."""
        return ("toy-servers",)


FACT = FactKind(
    "toy-servers",
    ToyServers,
    value=lambda fact: " ".join(fact.servers),
    name=lambda _: "time servers",
    label="servers",
    read=lambda fields: {"servers": tuple(fields["servers"])},
    pruned=True,
)

# The module of the language.


class ToyServersSpec(Model):
    """The servers, the preferred one first."""

    servers: list[HostAddress] = Field(min_length=1, description="Addresses of NTP servers.")


class ToyServersDocument(Document):
    """Whom both controllers ask for the time."""

    model_config = example("ToyServers", "time", servers=["10.0.0.9"])

    kind: Literal["ToyServers"] = Field(description="Always `ToyServers`.")
    spec: ToyServersSpec = Field(description="The servers.")


def toy_facts(configuration: Configuration, _here: ControllerTopology) -> Iterator[Asked]:
    """The servers of the one resource."""
    for resource in configuration.of(TOY).values():
        yield ToyServers(tuple(map(str, resource.spec.servers))), resource, ("servers",)


TOY = ResourceKind("ToyServers", ToyServersDocument, ToyServersSpec, Scope.NETWORK, single=True, facts=toy_facts)

# The adapter.


def read(file: Path) -> ToyServers | Unknown | None:
    """What the file says; None when there is no file."""
    return ToyServers(tuple(file.read_text().split())) if file.exists() else None


def write(file: Path, after: ToyServers | None) -> None:
    """Write or remove the file."""
    if after is None:
        file.unlink(missing_ok=True)
    else:
        file.write_text(" ".join(after.servers))


ADAPTER = HostSettingAdapter("toy-servers", "toy-servers", read, write, Path.exists)

# The three lines of registration.

FACT_KINDS[FACT.word] = FACT
KINDS[TOY.name] = TOY
ADAPTERS[ADAPTER.word] = ADAPTER

PAIR = f"""
apiVersion: {API_VERSION}
kind: Pair
metadata: {{name: pair}}
spec:
  a: {{hostname: only}}
"""
SERVERS = f"""---
apiVersion: {API_VERSION}
kind: ToyServers
metadata: {{name: time}}
spec: {{servers: [10.0.0.9, 10.0.0.8]}}
"""


def main(directory: Path) -> None:
    """Make the setting and remove it again, on the live adapter and on the simulated network."""
    asked = compile_desired(load({"pair.yaml": (PAIR + SERVERS).encode()}), "a")
    without = compile_desired(load({"pair.yaml": PAIR.encode()}), "a")
    seen: dict[str, object] = {
        "schema": "ToyServers" in json.dumps(json_schema()),
        "explain": explain("toyservers"),
    }
    with closing(LiveNetwork(directory / "hostname", directory / "resolv.conf", directory)) as live:
        for name, network in (("live", live), ("fake", FakeNetwork(Observed()))):
            steps = []
            for desired in (asked, without):
                plan = make_plan(desired, network.observe(), "main@" + 40 * "0")
                assert plan_from_document(json.loads(json.dumps(plan_document(plan)))) == plan
                actions = [action for action in plan.actions if action.key == ("toy-servers",)]
                for action in actions:
                    network.perform(action.before, action.after)
                found = network.observe_keys([("toy-servers",)])["toy-servers",]
                steps.append(
                    {
                        "verbs": [action.verb.value for action in actions],
                        "shown": [
                            line for line in render_plan(plan, color=False, width=100).splitlines() if "10.0" in line
                        ],
                        "found": None if found is None else FACT.value(found),
                        "drift": [
                            item.why for item in see(desired, network.observe()).differences if "toy" in item.key[0]
                        ],
                    }
                )
            seen[name] = steps
    print(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
