"""The command agent inside an emulated machine: runs the host's commands, which arrive over a virtio-serial port.

One JSON object a line. From the host: `{"id": 1, "command": "sh text", "timeout_s": 60}`. To the host, first
`{"hello": seconds since boot}`, then for each command any number of `{"id": 1, "out": text}` and `{"id": 1, "err":
text}` and one `{"id": 1, "status": exit status, "late": whether the timeout ended it}`. Several commands may run at
once. Imports only the standard library, because it starts before anything else is there.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from pathlib import Path
from typing import IO

PORT_NAME = "lab.agent"
PORT_WAIT_S = 30
CHUNK = 65536


def port() -> Path:
    """Return the device of the port, once the kernel has it."""
    deadline_s = time.monotonic() + PORT_WAIT_S
    while time.monotonic() < deadline_s:
        for name in Path("/sys/class/virtio-ports").glob("*/name"):
            if name.read_text().strip() == PORT_NAME and (Path("/dev") / name.parent.name).exists():
                return Path("/dev") / name.parent.name
    raise SystemExit("lab: no virtio port for commands")


class Job:
    """One running command. It ends with its shell, even if another process still holds its output."""

    def __init__(self, number: int, command: str, timeout_s: float) -> None:
        self.number = number
        self.deadline_s = time.monotonic() + timeout_s
        self.late = False
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, cwd="/",
        )  # fmt: skip
        self.ended = os.pidfd_open(self.process.pid)
        assert self.process.stdout is not None and self.process.stderr is not None
        self.streams: dict[IO[bytes], str] = {self.process.stdout: "out", self.process.stderr: "err"}
        for stream in self.streams:
            os.set_blocking(stream.fileno(), False)

    def kill(self) -> None:
        """Kill the command and every process that it started in its session."""
        self.late = True
        self.deadline_s = float("inf")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


class Agent:
    """Reads requests, runs them, sends their output."""

    def __init__(self, device: int) -> None:
        self.device = device
        self.input = b""
        self.jobs: list[Job] = []
        self.selector = selectors.DefaultSelector()
        self.selector.register(device, selectors.EVENT_READ)
        self.send({"hello": float(Path("/proc/uptime").read_text().split()[0])})

    def send(self, message: dict[str, object]) -> None:
        """Send one line to the host; waits while the host does not read."""
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self.device, data) :]

    def requests(self) -> None:
        """Start the commands that have arrived."""
        self.input += os.read(self.device, CHUNK)
        *lines, self.input = self.input.split(b"\n")
        for line in lines:
            request = json.loads(line)
            job = Job(request["id"], request["command"], request["timeout_s"])
            self.jobs.append(job)
            self.selector.register(job.ended, selectors.EVENT_READ, (job, None))
            for stream in job.streams:
                self.selector.register(stream, selectors.EVENT_READ, (job, stream))

    def forward(self, job: Job, stream: IO[bytes]) -> None:
        """Send what a command has printed so far."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(stream.fileno(), CHUNK):
                self.send({"id": job.number, job.streams[stream]: data.decode(errors="replace")})
            self.selector.unregister(stream)
            del job.streams[stream]

    def serve(self) -> None:
        """Run until the machine ends."""
        while True:
            nearest_s = min((job.deadline_s for job in self.jobs), default=float("inf"))
            wait_s = None if nearest_s == float("inf") else max(0.0, nearest_s - time.monotonic())
            for key, _ in self.selector.select(wait_s):
                if key.data is None:
                    self.requests()
                    continue
                job, stream = key.data
                if stream is None:
                    self.finish(job)
                elif stream in job.streams:
                    self.forward(job, stream)
            for job in self.jobs:
                if time.monotonic() >= job.deadline_s:
                    job.kill()

    def finish(self, job: Job) -> None:
        """Report a command that has ended, after its last output."""
        for stream in list(job.streams):
            self.forward(job, stream)
        self.selector.unregister(job.ended)
        for stream in job.streams:
            self.selector.unregister(stream)
        self.jobs.remove(job)
        self.send({"id": job.number, "status": job.process.wait(), "late": job.late})
        os.close(job.ended)
        for pipe in (job.process.stdout, job.process.stderr):
            assert pipe is not None
            pipe.close()


if __name__ == "__main__":
    Agent(os.open(port(), os.O_RDWR)).serve()
