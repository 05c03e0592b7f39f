"""Run in the guest: writes records until a write fails, and says of each that it is on stable storage.

    python -m tests.lab.pair.writer DIRECTORY LIFE     see `records`
    python -m tests.lab.pair.writer DIRECTORY check LIFE:COUNT...

A failed write is tried again: the writer of a controller that was fenced must never be acknowledged, however often it
tries. Files are open only while a record is written, as with clients that come and go: a pool can be exported between
two records, and then the writer ends.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from tests.lab.pair.records import PORT_NAME, RECORD_BYTES, SLOTS, problems, record

#: Between two records, and between two tries.
PACE_S = 0.02


def port() -> int:
    """The virtio-serial port to the host."""
    for name in Path("/sys/class/virtio-ports").glob("*/name"):
        if name.read_text().strip() == PORT_NAME:
            return os.open(Path("/dev") / name.parent.name, os.O_WRONLY)
    raise SystemExit(f"there is no port {PORT_NAME}")


def put(path: Path, data: bytes, offset: int) -> None:
    """Into a file that is there: what lies under a filesystem that is mounted no more has none."""
    file = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(file, data, offset)
        os.fsync(file)
    finally:
        os.close(file)


def write(directory: Path, life: int) -> None:
    """Writes until this machine ends or the filesystem is gone."""
    if not directory.is_mount():
        raise SystemExit(f"{directory} is not mounted")
    out = port()
    log, slots = directory / f"log-{life}", directory / "slots"
    for path in (log, slots):
        path.touch()
    number, pace = 0, threading.Event()
    while True:
        data = record(life, number)
        try:
            put(log, data, number * RECORD_BYTES)
            put(slots, data, number % SLOTS * RECORD_BYTES)
        except FileNotFoundError:
            return
        except OSError as error:
            print(f"record {number}: {error.strerror}", flush=True)
        else:
            os.write(out, b"%d %d\n" % (life, number))
            number += 1
        pace.wait(PACE_S)


def main() -> int:
    """See the module."""
    directory = Path(sys.argv[1])
    if sys.argv[2] != "check":
        write(directory, int(sys.argv[2]))
    found = problems(
        directory, {int(life): int(count) for life, _, count in (word.partition(":") for word in sys.argv[3:])}
    )
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
