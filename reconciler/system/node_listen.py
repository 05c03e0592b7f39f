"""The tables [listen] and [alerts] of the node file, as values: where the agent listens, and where its alerts may go.

`system/node` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Listen:
    """The agent's HTTP address for metrics and hooks. Port 0 takes any free one and is published in the status.

    `hosts`: names under which it may be asked, besides those of the Pair.
    """

    address: str = "127.0.0.1"
    port: int = 9723
    hook_secret: Path | None = None
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlertSecrets:
    """Where the secrets of alert targets lie: a repository names files below `secrets`, and no others.

    `hosts`: which hosts a signed webhook may go to, `host` or `host:port`; empty: to any.
    """

    secrets: Path = Path("/etc/hagit")
    hosts: tuple[str, ...] = ()
