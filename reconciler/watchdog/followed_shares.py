"""Which shares this controller follows: those of the newest document that its pair's agent sealed.

A document that cannot be opened, that another pair's agent wrote, or that has vanished replaces nothing: the last good
shares of this boot stay in force, and `refusal` says why. Does not know how they are served.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.core.failover.refusal import Refused
from reconciler.core.shares.shares import Shares
from reconciler.errors import HagitError
from reconciler.system.shares.kept_shares import keep_shares, kept_shares


class FollowedShares:
    """The shares of one daemon. `shares`: None without any. `digest`: of what the workers read in `run`.

    `refusal`: why the newest document is not followed, or "". `run`: the run directory. `boot`: the boot of the kernel.
    """

    def __init__(self, run: Path, boot: str) -> None:
        self._run, self._boot = run, boot
        self._document: Shares | Refused | None = None
        self._body = b""
        self._pair = ""
        self.shares: Shares | None = None
        self.digest = ""
        self.refusal = ""

    def set_document(self, document: Shares | Refused | None, body: bytes = b"") -> None:
        """Take the newest document, and the first line of its file. None: no file. `judge` decides about it."""
        self._document, self._body, self._pair = document, body, ""

    def judge(self, pair: str) -> bool:
        """Decide which shares this pair follows, unless that is decided. Returns whether they have changed."""
        if pair == self._pair:
            return False
        self._pair, self.refusal, document, followed = pair, "", self._document, self.shares
        body = self._body
        if isinstance(document, Shares) and document.pair == pair:
            followed = document
        else:
            if followed is None:
                followed, body = self._kept(pair)
            if isinstance(document, Refused):
                self.refusal = f"the shares are {document}"
            elif document is not None:
                self.refusal = f"they are those of the pair {document.pair}, and this is {pair}"
            elif followed:
                self.refusal = "the file of the shares is missing"
        if followed == self.shares:
            return False
        self.shares = followed
        if followed is not None:
            try:
                self.digest = keep_shares(self._run, self._boot, body)
            except OSError as error:
                self.refusal = f"the run directory does not take them: {error.strerror}"
        return True

    def _kept(self, pair: str) -> tuple[Shares | None, bytes]:
        """The last good shares of this boot."""
        try:
            kept = kept_shares(self._run, self._boot)
        except HagitError:
            kept = None
        return kept if kept is not None and kept[0].pair == pair else (None, b"")
