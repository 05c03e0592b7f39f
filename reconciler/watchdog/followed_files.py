"""Files of the agent that are read before the first orders: the serial numbers of the pair, and the shares.

Each is read at once, and again at every change of the file or of the pair's secret. Decides nothing about contents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from reconciler.core.failover.orders.hardware_unit import UNIT_BYTES_MAX, unfit
from reconciler.core.failover.refusal import Refused
from reconciler.core.failover.reservations.key import Side
from reconciler.core.shares.document import SHARES_BYTES_MAX, decode_in_steps
from reconciler.core.shares.shares import Shares
from reconciler.system.file_thread import FileContent, FileThread, read_content
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.event_loop import EventLoop
from reconciler.watchdog.pair_keys import PairKeys
from reconciler.watchdog.published_files import read_shares, read_unit
from reconciler.watchdog.share_service import ShareService

#: The end of the daemon waits at most this long for slow files.
FAREWELL_S: Final = 2.0


def follow_unit(
    state: Path, side: Side, serial: str, keys: PairKeys, loop: EventLoop, daemon: Daemon, stack: ExitStack
) -> None:
    """Compare the serial number of this machine with that of the Pair.

    If orders were read first, a machine that does not belong to the pair could claim.
    """

    def judge(file: FileContent) -> None:
        daemon.unit_seen(unfit(read_unit(file, keys.documents), side, serial))

    _follow(state / "unit.json", UNIT_BYTES_MAX, keys, loop, stack, judge)


def follow_shares(state: Path, keys: PairKeys, loop: EventLoop, shares: ShareService, stack: ExitStack) -> None:
    """Follow the shares. If orders were read first, addresses could come up before a server is known to be missing.

    The first document is read at once. Later ones are read in steps, because heartbeats must not wait for a long one.
    """
    begun = False
    newest = 0

    def judge(file: FileContent) -> None:
        nonlocal newest
        newest += 1
        body = read_shares(file, keys.documents)
        if isinstance(body, bytes):
            advance(newest, body, decode_in_steps(body))
        else:
            shares.set_document(body)

    def advance(number: int, body: bytes, steps: Iterator[Shares | Refused | None]) -> None:
        if number != newest:
            # Another document has arrived.
            return
        for found in steps:
            if found is not None:
                shares.set_document(found, body)
            elif begun:
                loop.after(1, lambda: advance(number, body, steps))
                return

    _follow(state / "shares.json", SHARES_BYTES_MAX, keys, loop, stack, judge)
    begun = True


def _follow(
    path: Path, bytes_max: int, keys: PairKeys, loop: EventLoop, stack: ExitStack, judge: Callable[[FileContent], None]
) -> None:
    thread = FileThread(path, bytes_max)
    stack.callback(thread.close, FAREWELL_S)
    last = read_content(path, bytes_max)

    def seen() -> None:
        nonlocal last
        last = thread.take_content() or last
        judge(last)

    judge(last)
    keys.listeners.append(lambda: judge(last))
    loop.watch(thread.fileno(), seen)
