"""How long the virtual address did not answer: reads a pinger that runs as long as the demonstration.

Decides how a gap between answers is measured. `demo/pinger` sends the pings.
"""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from typing import Final

ADDRESS: Final = "10.77.1.10"
INTERVAL_MS: Final = 10


class PingProbe:
    """Reads the output of a running `demo/pinger`. Moments are seconds of the monotonic clock."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._output = process.stdout
        self._output.readline()
        self._lock = threading.Lock()
        self._last_sent_s = 0.0
        self._answered_s = [time.monotonic()]
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._output:
            words = line.split()
            if len(words) != 3:
                # The last line was cut off.
                return
            with self._lock:
                self._last_sent_s = max(self._last_sent_s, float(words[1]))
                self._answered_s.append(float(words[2]))

    def answered_since(self, moment_s: float) -> bool:
        """Whether a ping that was sent after that moment was answered."""
        with self._lock:
            return self._last_sent_s > moment_s

    def silence_ms(self, since_s: float) -> int:
        """The longest time without an answer since then, in milliseconds, up to now.

        Counts from answer to answer: pings to an address that no host resolves wait in the client's kernel (arp(7),
        `unres_qlen`), and all of them are answered once a host does.
        """
        with self._lock:
            answered_s = list(self._answered_s)
        first = next((at for at, one in enumerate(answered_s) if one >= since_s), len(answered_s))
        moments = [*answered_s[max(0, first - 1) :], time.monotonic()]
        return round(1_000 * max(later - earlier for earlier, later in itertools.pairwise(moments)))
