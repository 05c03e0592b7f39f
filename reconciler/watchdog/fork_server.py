"""`python -m reconciler.watchdog.fork_server FD`: the process from which the watchdog's workers are forked.

It has loaded every module that a worker needs. On FD it receives the name and the socket of each worker that is to be
started, forks the worker, and answers with a descriptor of its process. All end with the watchdog: the kernel kills the
fork server when its parent dies (prctl(2), PR_SET_PDEATHSIG), and the workers when the fork server dies. Leaves the
work itself to `worker_process`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import traceback
from typing import Final, NoReturn

from reconciler.system.process_protection import (
    WORKER_PRIORITY,
    die_with_parent,
    freeze_imports,
    protect_worker,
    set_normal_priority,
    set_real_time,
)
from reconciler.system.streams import install
from reconciler.watchdog.worker_process import WorkerProcess
from reconciler.watchdog.worker_protocol import WorkerKind

NAME_BYTES_MAX: Final = 64


def serve(control: socket.socket) -> NoReturn:
    """Fork a worker for each message, until the watchdog closes its end of `control`."""
    fork_server = os.getpid()
    # The replacement of a failed worker must not wait for a processor. A worker sets its own priority.
    set_real_time(WORKER_PRIORITY, inherited=True)
    freeze_imports()
    while True:
        try:
            name, descriptors, _, _ = socket.recv_fds(control, NAME_BYTES_MAX, 1)
        except ConnectionResetError:
            name, descriptors = b"", []
        if not name:
            sys.exit(0)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        (descriptor,) = descriptors
        worker = os.fork()
        if worker == 0:
            control.close()
            _run_worker(name.decode(), descriptor, fork_server)
        os.close(descriptor)
        # Ended workers are reaped at the next message only, so this number still means this worker.
        process = os.pidfd_open(worker)
        try:
            socket.send_fds(control, [name], [process])
        except (BrokenPipeError, ConnectionResetError):
            # The watchdog has ended, and its workers end with this process.
            sys.exit(0)
        os.close(process)


def _run_worker(name: str, descriptor: int, fork_server: int) -> NoReturn:
    """The whole life of a worker. Never returns into the fork server's loop."""
    try:
        die_with_parent(f"hagit-{name}")
        kind = WorkerKind(name.rpartition("-")[0])
        if kind.urgent:
            protect_worker()
        else:
            set_normal_priority()
        if os.getppid() == fork_server:
            WorkerProcess(socket.socket(fileno=descriptor), kind).serve()
    except SystemExit:
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)


def main() -> NoReturn:
    """Serve one watchdog."""
    install()
    die_with_parent("hagit-workers")
    serve(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    main()
