"""What somebody on the wire does to heartbeats: cuts one way, loses, doubles, delays, plays again.

The kernel's own filter stands at both ends of a cable (nftables, family netdev: before every socket), so a controller
has carrier and notices nothing but the silence. What is sent again comes from a `tests.watchdog.player`, whose frames
bear a MAC address of their own. Clients are not disturbed unless `deaf` says so.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import Final

from reconciler.core.failover.reservations.key import Side
from reconciler.system.frames import ETHER_TYPE
from tests.wait import DEADLINE_S
from tests.watchdog.pair import ROOT, Pair, Room

#: The sender of everything that a player sends.
PLAYER: Final = "02:00:00:00:00:99"
BEATS: Final = f"ether type {ETHER_TYPE:#06x}"
ADVERTISEMENTS: Final = ("ip protocol 112", "ip6 nexthdr 112")
#: name -> rules where the frames arrive, and rules where they leave
RULES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "cut": (tuple(f"{what} drop" for what in (BEATS, *ADVERTISEMENTS)), ()),
    "loss": (tuple(f"{what} numgen random mod 2 0 drop" for what in (BEATS, *ADVERTISEMENTS)), ()),
    "duplicate": ((), (f"{BEATS} dup to", *(f"{what} dup to" for what in ADVERTISEMENTS))),
    # Only what the player sends again gets through.
    "delay": ((f"{BEATS} ether saddr != {PLAYER} drop",), ()),
    "deaf": (("drop",), ()),
}


class Player:
    """Somebody who repeats what a controller says on one interface (see `tests.watchdog.player`)."""

    def __init__(self, room: Room, interface: str) -> None:
        self.process = subprocess.Popen(
            room.enter(sys.executable, "-m", "tests.watchdog.player", interface, PLAYER),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def tell(self, *words: object) -> str:
        """One command, and its answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer, "the player is gone"
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(DEADLINE_S)


@dataclass(slots=True)
class Wires:
    """All ways of one pair. A way is a channel and the side that sends; `what` is a name of RULES."""

    pair: Pair
    _ways: dict[tuple[str, Side], str] = field(default_factory=dict)
    _players: dict[tuple[str, Side], Player] = field(default_factory=dict)

    def set(self, channel: str, sender: Side, what: str) -> None:
        """From now on, instead of what was before on this way."""
        self._ways[channel, sender] = what
        self._apply()

    def both(self, channel: str, what: str) -> None:
        """The same in both directions."""
        for side in Side:
            self._ways[channel, side] = what
        self._apply()

    def heal(self, *channels: str) -> None:
        """These channels are as they should be, all of them when none is named."""
        self._ways = {way: what for way, what in self._ways.items() if channels and way[0] not in channels}
        self._apply()

    def player(self, channel: str, sender: Side) -> Player:
        """The one who listens to this controller there; it begins to when it is first asked for."""
        if (channel, sender) not in self._players:
            self._players[channel, sender] = Player(self.pair.heads[sender].room, channel)
        return self._players[channel, sender]

    def delay(self, channel: str, sender: Side, ms: int) -> None:
        """What is sent on this way arrives so much later."""
        self.player(channel, sender).tell("late", ms)
        self.set(channel, sender, "delay")

    def _apply(self) -> None:
        for side, head in self.pair.heads.items():
            rules: dict[tuple[str, str], list[str]] = {}
            for (channel, sender), what in self._ways.items():
                arriving, leaving = RULES[what]
                if sender is side:
                    rules.setdefault((channel, "egress"), []).extend(f'{rule} "{channel}"' for rule in leaving)
                else:
                    rules.setdefault((channel, "ingress"), []).extend(arriving)
            _filter(head.room, rules)

    def close(self) -> None:
        for player in self._players.values():
            player.close()


def _filter(room: Room, rules: dict[tuple[str, str], list[str]]) -> None:
    lines = ["table netdev wires", "delete table netdev wires", "table netdev wires {"]
    for (interface, hook), texts in rules.items():
        if texts:
            lines += [f"chain {interface}-{hook} {{", f'type filter hook {hook} device "{interface}" priority 0']
            lines += [*texts, "}"]
    lines += ["}", ""]
    done = subprocess.run(
        room.enter("nft", "-f", "-"), input="\n".join(lines), text=True, capture_output=True, timeout=DEADLINE_S
    )
    assert done.returncode == 0, done.stderr
