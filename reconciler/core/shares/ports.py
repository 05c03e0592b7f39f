"""The port of a server of shares: what the watchdog asks of NFS and of iSCSI alike.

Every call may block, up to its deadline and not noticeably longer, so the watchdog calls them in a worker process. No
call raises for a fault of a share, a pool or a program: the view names it. Makes no decisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol as Port

from reconciler.core.shares.shares import Protocol, Shares


class Serving(StrEnum):
    """Whether a server serves.

    DOWN: no client can be served, and nothing of the server holds a dataset. UP: the server answers clients, with all
    shares that can be served. PARTLY: anything between, also while it starts or stops. UNKNOWN: no answer.
    """

    DOWN = "down"
    PARTLY = "partly"
    UP = "up"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ShareProblem:
    """A share that is not served as its resource says. `name` is "" if the fault is the whole server's.

    `served`: clients can use the share all the same. `changed`: another program than hagit changed what is served.
    """

    protocol: Protocol
    name: str
    text: str
    remedy: str = ""
    served: bool = False
    changed: bool = False


@dataclass(frozen=True, slots=True)
class ConnectedClient:
    """One client. `name`: what it calls itself (an IQN; the owner string of an NFSv4 client), cut to 128 characters.

    `shares`: names of the shares it uses, where the protocol tells. `detail`: version and state, in words.
    """

    protocol: Protocol
    address: str
    name: str = ""
    shares: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ServerView:
    """One look at a server, or the result of a start or a stop.

    `served`: the names of the shares that clients can use. `clients`: at most 1,024 of them; `clients_count`: all.
    `steps_ms`: how long the parts of a start or stop took, by name, in their order. `figures`: counts that a protocol
    adds, by name. NFS: `grace` (1 while clients reclaim and others wait), `clients_4_0` (each makes the next grace
    period last its full time), `clients_courtesy` (those that are gone and still remembered).
    """

    serving: Serving
    served: tuple[str, ...] = ()
    problems: tuple[ShareProblem, ...] = ()
    clients: tuple[ConnectedClient, ...] = ()
    clients_count: int = 0
    steps_ms: tuple[tuple[str, int], ...] = ()
    figures: tuple[tuple[str, int], ...] = ()


class ShareServer(Port):
    """The server of one protocol on this controller.

    `start` and `stop` are never called at the same time, and a `look` may run beside them.
    """

    def look(self, shares: Shares, deadline_s: float) -> ServerView:
        """Return what is served now, compared with these shares."""
        ...

    def start(self, shares: Shares, deadline_s: float) -> ServerView:
        """Serve exactly these shares of this protocol; stop serving all others.

        The pools are imported and mounted. May be called while the server serves already: then it changes what differs
        and disturbs no other share. A share that cannot be served becomes a problem and holds up no other share.
        """
        ...

    def stop(self, deadline_s: float) -> ServerView:
        """Stop serving. DOWN means that nothing of the server uses a dataset any more, so the pools can be exported.

        Needs no shares: it stops what an earlier process of hagit started, too. Never leaves a client an error: it
        closes no connection in a way that a client answers with one.
        """
        ...
