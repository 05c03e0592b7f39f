"""Which controller takes pushes: the active one, so that a person knows where to push.

Safety does not rest on this. Both controllers move their branch by compare and swap, so a push to either is sound.
While no controller is active, each takes pushes, because a commit may be the way out.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.push.ssh_command import REPOSITORY, GitService


@dataclass(frozen=True, slots=True)
class PushRole:
    """`standby`: this controller is the standby of a peer that is active. `addresses`: virtual ones, without prefix."""

    standby: bool = False
    addresses: tuple[str, ...] = ()


def role_refusal(service: GitService, role: PushRole, user: str, port: int) -> str:
    """Why this controller does not serve a client, and where it is served; empty when it is served."""
    if service is GitService.FETCH or not role.standby:
        return ""
    urls = [f"ssh://{user}@{f'[{one}]' if ':' in one else one}:{port}/{REPOSITORY}" for one in role.addresses[:3]]
    where = f"push to a virtual address: {', '.join(urls)}" if urls else "push to the active controller"
    return f"this controller is the standby: it serves git fetch only; {where}"
