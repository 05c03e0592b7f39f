"""Change of the secret that both controllers share: which step is allowed now.

The invariant: each controller accepts, at every moment, the secret that the other one uses. A change has three steps.
`new` or `import` adds a next secret, which the controller accepts and does not use. `use` makes it the used secret and
the old one the previous, which the controller still accepts. `drop` forgets the previous secret, or a next one that was
never used. Each step changes one controller, so it may depend on the peer's heartbeats.

Decides by fingerprints. Does not know the secrets, nor the files that hold them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

WITHOUT_PEER: Final = "--without-peer goes on when that controller is off: it has to have this secret before it starts"


@dataclass(frozen=True, slots=True)
class SecretView:
    """Fingerprints of the secrets of one controller and of its peer; empty if there is none, or it is unknown.

    `used`, `next`, `previous`: secrets of this controller. `runs`: whether its watchdog runs. `accepted`: secrets that
    the watchdog accepts besides the used one. `peer`: name of the other controller. `peer_uses`, `peer_accepts`: as its
    heartbeats report.
    """

    used: str
    next: str = ""
    previous: str = ""
    runs: bool = True
    accepted: tuple[str, ...] = ()
    peer: str = "the other controller"
    peer_uses: str = ""
    peer_accepts: str = ""

    @property
    def peer_knows_next(self) -> bool:
        """Whether the peer uses or accepts the next secret."""
        return self.next in (self.peer_uses, self.peer_accepts)


@dataclass(frozen=True, slots=True)
class SecretStepRefusal:
    """Why a step is not allowed now, and the remedy, for people."""

    what: str
    remedy: str


def refuse_addition(view: SecretView, number: str = "") -> SecretStepRefusal | None:
    """Return why the secret `number` cannot become the next one; without a number, why hagit cannot make a new one."""
    if number and number == view.used:
        return SecretStepRefusal(f"{number} is the secret in use here", "nothing is to be done")
    if view.next and view.next != number:
        remedy = "`hagit secret use`, or `hagit secret drop` to give it up"
        return SecretStepRefusal(f"{view.next} is the next secret already", remedy)
    if view.previous:
        remedy = "end the last change: `hagit secret drop`"
        return SecretStepRefusal(f"{view.previous} has not been dropped yet", remedy)
    return None


def refuse_use(view: SecretView, *, without_peer: bool) -> SecretStepRefusal | None:
    """Return why the next secret cannot be used now. `without_peer`: the operator says that the peer is off."""
    if not view.next:
        remedy = "`hagit secret new`, or `hagit secret import` what the peer made"
        return SecretStepRefusal("there is no next secret here", remedy)
    if view.runs and view.next not in view.accepted:
        remedy = "see `hagit status`, and try again"
        return SecretStepRefusal("the watchdog has not read the next secret yet", remedy)
    if without_peer or view.peer_knows_next:
        return None
    return _peer_unready(view, f"is not known to accept {view.next}", "run `hagit secret import` there first")


def refuse_drop(view: SecretView, *, without_peer: bool) -> SecretStepRefusal | None:
    """Return why this controller cannot drop the previous secret, or a next one that was never used, now."""
    if not view.previous and not view.next:
        return SecretStepRefusal("only one secret is accepted here", "nothing is to be dropped")
    if not view.previous:
        if view.next == view.peer_uses:
            return SecretStepRefusal(f"{view.peer} uses {view.next} already", "go on: `hagit secret use`")
        return None
    if without_peer or view.peer_uses == view.used:
        return None
    return _peer_unready(view, f"is not known to use {view.used}", "run `hagit secret use` there first")


def _peer_unready(view: SecretView, lacks: str, remedy: str) -> SecretStepRefusal:
    """Return why the peer might not understand this controller, and the remedy."""
    if not view.runs:
        what = f"no watchdog runs here, so whether {view.peer} could follow is unknown"
        return SecretStepRefusal(what, f"start it; {WITHOUT_PEER}")
    if not view.peer_uses:
        what = f"{view.peer} is not heard, so whether it could follow is unknown"
        return SecretStepRefusal(what, f"see `hagit status`; {WITHOUT_PEER}")
    return SecretStepRefusal(f"{view.peer} {lacks}: it could not understand this controller", remedy)
