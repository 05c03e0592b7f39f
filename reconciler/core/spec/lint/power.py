"""Defects of power fencing: agents and options that are not there, and options that have no place in git.

Decides by the list of Debian's agents. An agent that is named by its path is taken at its word but for what is secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from reconciler.core.power.plan import OPTION
from reconciler.core.spec.configuration import Resource
from reconciler.core.spec.failover import FailoverSpec
from reconciler.core.spec.fence_agents import AGENTS, NO_POWER, SECRET, options_of
from reconciler.core.spec.lint.defect import Finding, defect
from reconciler.core.spec.nearest import suggestion
from reconciler.core.spec.power import PowerAgent
from reconciler.core.spec.topology import Draft
from reconciler.core.spec.tree import Path

PATH: Final = re.compile(r"/(?:[A-Za-z0-9_][A-Za-z0-9_.-]*/)*fence_[A-Za-z0-9_.-]+")
#: What hagit gives by itself.
OURS: Final = frozenset({"action", "option", "nodename"})
#: With these an agent says what it was told, or ends before its work.
TALK: Final = frozenset({"verbose", "verbose_level", "debug", "debug_file", "quiet", "help", "version", "logfile"})
#: Programs to run, and what is run by them.
PROGRAMS: Final = re.compile(r".*[_-](?:path|script|options)|exec|openrc|cmd")


def _agents(draft: Draft) -> Iterator[tuple[Resource[FailoverSpec], Path, PowerAgent]]:
    failover = draft.failover
    if failover is not None and failover.spec.power is not None:
        for name, agent in failover.spec.power.agents():
            yield failover, ("power", name), agent


@defect("power-agent")
def power_agent(draft: Draft) -> Iterator[Finding]:
    """A fence agent is not known, or switches no power."""
    for failover, path, agent in _agents(draft):
        name, place = agent.agent, (*path, "agent")
        if name in NO_POWER:
            what = f"`{name}` switches no power"
            yield failover, place, what, "hagit reserves the disks itself; name the agent of a BMC or a power strip."
        elif "/" in name and not PATH.fullmatch(name):
            what = f"`{name}` is no path of a fence agent"
            yield failover, place, what, "Write an absolute path whose last part begins with fence_."
        elif "/" not in name and name not in AGENTS:
            yield failover, place, f"`{name}` is no fence agent of Debian", suggestion(name, AGENTS)


@defect("power-option")
def power_option(draft: Draft) -> Iterator[Finding]:
    """An option is not known to its fence agent, or would make the agent run or tell what it must not."""
    for failover, path, agent in _agents(draft):
        known = options_of(agent.agent)
        for name in agent.options:
            place = (*path, "options", name)
            if name in SECRET:
                continue
            if not OPTION.fullmatch(name):
                yield failover, place, f"`{name}` is no name of an option", "`fence_ipmilan -o metadata` lists them."
            elif name in OURS:
                yield failover, place, f"`{name}` is given by hagit", "Take it out."
            elif name in TALK:
                what = f"with `{name}` an agent tells what it was told, passwords included"
                yield failover, place, what, "Take it out; `hagit power status` says what is wrong."
            elif PROGRAMS.fullmatch(name):
                what = f"`{name}` lets the repository choose a program that runs as root"
                yield failover, place, what, "Take it out; Debian's paths are right."
            elif known is not None and name not in known:
                yield failover, place, f"`{agent.agent}` has no option `{name}`", suggestion(name, known)


@defect("power-secret")
def power_secret(draft: Draft) -> Iterator[Finding]:
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
def power_nobody(draft: Draft) -> Iterator[Finding]:
    """Power fencing is written down and names no controller."""
    failover = draft.failover
    if failover is not None and failover.spec.power is not None and not any(failover.spec.power.agents()):
        what = "power fencing names neither controller"
        yield failover, ("power",), what, "Say how each is switched: a: {agent: fence_ipmilan, options: {ip: …}}."
