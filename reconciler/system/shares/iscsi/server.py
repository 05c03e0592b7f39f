"""iSCSI of a pair: the port `ShareServer` over the kernel's target, each call within its deadline.

Every call does its work in a thread, because a write to configfs may wait in the kernel for longer than any deadline. A
start or stop that is overdue begins no further change once the kernel lets it go on, and the next one waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from reconciler.core.shares.ports import ServerView, Serving
from reconciler.core.shares.shares import Shares
from reconciler.system.shares.iscsi import stop
from reconciler.system.shares.iscsi.configfs import CONFIGFS, TargetTree, TargetTreeError, TreeOverdue
from reconciler.system.shares.iscsi.observation import TargetObservation
from reconciler.system.shares.iscsi.report import ServingReport
from reconciler.system.shares.iscsi.start import TargetStart
from reconciler.system.shares.iscsi.state_directory import MOUNT_POINT

STUCK: Final = "a session or a pool does not answer; look at: zpool status"
Work = Callable[[TargetTree, ServingReport], Serving]


class KernelIscsiServer:
    """iSCSI targets in the kernel of this controller.

    `secrets`: files of CHAP secrets, by the names that shares use; only root may read or replace them. `root` is where
    configfs is mounted, `mount_point` where the state dataset is.
    """

    def __init__(self, secrets: Mapping[str, Path], *, root: Path = CONFIGFS, mount_point: Path = MOUNT_POINT) -> None:
        self._secrets, self._root, self._mount_point = dict(secrets), root, mount_point
        self._serials: dict[str, str] = {}
        self._changing: threading.Thread | None = None

    def look(self, shares: Shares, deadline_s: float) -> ServerView:
        """See `ShareServer.look`."""

        def work(tree: TargetTree, report: ServingReport) -> Serving:
            return TargetObservation(tree, self._secrets, self._serials, report, deadline_s).run(shares)

        report = ServingReport()
        serving, _ = self._run(work, report, time.monotonic() + deadline_s, Serving.UNKNOWN)
        return report.view(serving)

    def start(self, shares: Shares, deadline_s: float) -> ServerView:
        """See `ShareServer.start`."""
        end_s = time.monotonic() + deadline_s

        def work(tree: TargetTree, report: ServingReport) -> Serving:
            begun = TargetStart(tree, self._secrets, self._mount_point, report, end_s)
            try:
                return begun.run(shares)
            finally:
                self._serials = begun.serials

        return self._change(work, end_s)

    def stop(self, deadline_s: float) -> ServerView:
        """See `ShareServer.stop`."""
        return self._change(stop.stop, time.monotonic() + deadline_s)

    def _change(self, work: Work, end_s: float) -> ServerView:
        report = ServingReport()
        if self._changing is not None:
            self._changing.join(max(0.0, end_s - time.monotonic()))
            if self._changing.is_alive():
                report.fault("", "an earlier start or stop still waits in the kernel", STUCK)
                return report.view(Serving.PARTLY)
        serving, self._changing = self._run(work, report, end_s, Serving.PARTLY)
        return report.view(serving)

    def _run(
        self, work: Work, report: ServingReport, end_s: float, otherwise: Serving
    ) -> tuple[Serving, threading.Thread | None]:
        """Return the result of some work, or `otherwise` with a problem and, if it goes on, its thread."""
        result: list[Serving] = []

        def run() -> None:
            try:
                result.append(work(TargetTree(self._root, end_s), report))
            except TreeOverdue as error:
                report.fault("", f"no time was left at the step {report.doing!r}: {error.what}")
            except TargetTreeError as error:
                report.fault("", error.what, error.remedy)
                if otherwise is Serving.PARTLY and not TargetTree(self._root).ready():
                    result.append(Serving.DOWN)

        thread = threading.Thread(target=run, name="iscsi", daemon=True)
        thread.start()
        thread.join(max(0.0, end_s - time.monotonic()))
        if result:
            return result[0], None
        if thread.is_alive():
            report.fault("", f"no end in time at the step {report.doing!r}", STUCK)
            return otherwise, thread
        return otherwise, None
