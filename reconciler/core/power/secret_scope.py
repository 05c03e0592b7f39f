"""Which fence agent the secrets of a node file are for: the agent, the host, and how it is spoken to.

A commit chooses agents and options. Without this it could send the password of a BMC to a host of its own, or have it
sent without encryption. So the node file says agent and options (`[power.for]`), and the secrets are given only to an
agent that has exactly these. Decides which options a commit may still change by itself, and what is said of the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

#: The name under which the node file says which agent it is.
AGENT: Final = "agent"
#: Options that choose neither the host nor the way to it: outlets, waits and tries.
FREE: Final = frozenset(
    {
        "delay", "disable_timeout", "ipmitool_timeout", "login_timeout", "plug", "port", "power_timeout", "power_wait",
        "retry_on", "shell_timeout", "stonith_status_sleep",
    }
)  # fmt: skip
#: With it an outlet is also a host.
OUTLET_IS_HOST: Final = "port_as_ip"


def withheld(agent: str, options: Iterable[tuple[str, str]], bound: Mapping[str, str]) -> str:
    """Why an agent with these options gets no secret; empty when the node file says that it does."""
    wanted = {AGENT: agent, **_bound_options(dict(options))}
    if wanted == bound:
        return ""
    lines = ", ".join(f'{name} = "{value}"' for name, value in wanted.items())
    if not bound:
        what = "the node file does not say which agent its secrets are for"
    else:
        named = sorted(name for name in {*wanted, *bound} if wanted.get(name) != bound.get(name))
        words = "; ".join(f"{name} is {wanted.get(name, 'not given')}, {_said(name, bound)}" for name in named)
        what = f"the node file has its secrets for another agent or host ({words})"
    return f"{agent} gets no secret: {what}. If they are for it, write into [power.for] of the node file: {lines}"


def _said(name: str, bound: Mapping[str, str]) -> str:
    return f"[power.for] says {bound[name]}" if name in bound else "[power.for] does not have it"


def _bound_options(options: Mapping[str, str]) -> dict[str, str]:
    free = frozenset[str]() if OUTLET_IS_HOST in options else FREE
    return {name: value for name, value in options.items() if name not in free}
