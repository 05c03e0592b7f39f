"""Defects of power fencing: agents and options that are not there, and options that have no place in git.

What fits and what does not is decided in `core/power/options`, which the watchdog asks as well; here are the remedies.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.power.fence_agents import AGENTS, NO_POWER, SECRET, options_of
from reconciler.core.power.options import OURS, PROGRAMS, TALK, unfit_agent, unfit_name, unfit_value
from reconciler.core.power.plan import OPTION
from reconciler.core.spec.configuration import Resource
from reconciler.core.spec.defect import Finding, defect
from reconciler.core.spec.failover import FailoverSpec
from reconciler.core.spec.nearest import suggestion
from reconciler.core.spec.power import PowerAgent
from reconciler.core.spec.topology import SpecDraft
from reconciler.core.spec.tree import Path
from reconciler.core.spec.values import shown


def _agents(draft: SpecDraft) -> Iterator[tuple[Resource[FailoverSpec], Path, PowerAgent]]:
    failover = draft.failover
    if failover is not None and failover.spec.power is not None:
        for name, agent in failover.spec.power.agents():
            yield failover, ("power", name), agent


@defect("power-agent")
def power_agent(draft: SpecDraft) -> Iterator[Finding]:
    """A fence agent is not known, switches no power, or is a path."""
    for failover, path, agent in _agents(draft):
        name, place = agent.agent, (*path, "agent")
        why = unfit_agent(name)
        if name in NO_POWER:
            remedy = "hagit reserves the disks itself; name the agent of a BMC or a power strip."
        elif "/" in name:
            remedy = "Write fence_local_NAME here, and its path in [fence_agents] of the node file."
        else:
            remedy = suggestion(name, AGENTS)
        if why:
            yield failover, place, f"`{name}` {why}", remedy


@defect("power-option")
def power_option(draft: SpecDraft) -> Iterator[Finding]:
    """An option is not known to its fence agent, or would make the agent run or tell what it must not."""
    for failover, path, agent in _agents(draft):
        known = options_of(agent.agent)
        for name in agent.options:
            why = unfit_name(agent.agent, name)
            if not why or name in SECRET:
                continue
            if not OPTION.fullmatch(name):
                remedy = "`fence_ipmilan -o metadata` lists them."
            elif name in OURS:
                remedy = "Take it out."
            elif name in TALK:
                remedy = "Take it out; `hagit power status` says what is wrong."
            elif PROGRAMS.fullmatch(name):
                remedy = f'Take it out, or write {name} = "FILE" in [power] of the node file, its value in FILE.'
            else:
                remedy = suggestion(name, known or ())
            yield failover, (*path, "options", name), f"`{name}` {why}", remedy


@defect("power-value")
def power_value(draft: SpecDraft) -> Iterator[Finding]:
    """The value of an option is not what the option is, or could be read as a command."""
    for failover, path, agent in _agents(draft):
        for name, value in agent.options.items():
            if not unfit_name(agent.agent, name) and (why := unfit_value(name, value)):
                what = f"{shown(value)} is no value of `{name}`: it {why}"
                remedy = f'Correct it. What only this controller knows: {name} = "FILE" in [power] of the node file.'
                yield failover, (*path, "options", name), what, remedy


@defect("power-secret")
def power_secret(draft: SpecDraft) -> Iterator[Finding]:
    """A password or a key of a fence agent stands in git."""
    for failover, path, agent in _agents(draft):
        for name in agent.options:
            if name in SECRET:
                what = f"`{name}` is a secret, and now it is in the history of this repository"
                remedy = (
                    f'Change it; then write {name} = "FILE" in [power] of the node file, FILE readable by root alone.'
                )
                yield failover, (*path, "options", name), what, remedy


@defect("power-nobody")
def power_nobody(draft: SpecDraft) -> Iterator[Finding]:
    """Power fencing is written down and names no controller."""
    failover = draft.failover
    if failover is not None and failover.spec.power is not None and not any(failover.spec.power.agents()):
        what = "power fencing names neither controller"
        yield failover, ("power",), what, "Say how each is switched: a: {agent: fence_ipmilan, options: {ip: …}}."
