"""Run in the guest: write records until the machine ends, and report each one that is on stable storage.

    python -m tests.lab.pair.writer DIRECTORY LIFE     see `records`
    python -m tests.lab.pair.writer DIRECTORY check LIFE:COUNT...

Tries a failed write again: the writer of a fenced controller must never get an acknowledgement, however often it tries.
Opens files only while it writes a record, as clients do that come and go: a pool can be exported between two records,
and then the writer ends.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from tests.lab.pair.records import PORT_NAME, RECORD_BYTES, SLOTS, problems, record

#: Seconds between two records, and between two tries.
PACE_S = 0.02


def port() -> int:
    """Open the virtio-serial port to the host."""
    for name in Path("/sys/class/virtio-ports").glob("*/name"):
        if name.read_text().strip() == PORT_NAME:
            return os.open(Path("/dev") / name.parent.name, os.O_WRONLY)
    raise SystemExit(f"there is no port {PORT_NAME}")


def put(path: Path, data: bytes, offset: int) -> None:
    """Write into an existing file: the directory below an unmounted filesystem has none."""
    file = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(file, data, offset)
        os.fsync(file)
    finally:
        os.close(file)


def write(directory: Path, life: int) -> None:
    """Write until this machine ends or the filesystem is gone."""
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
