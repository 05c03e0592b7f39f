"""Write numbered records to a disk without pause: `disk_writer.py DEVICE FILE`.

Each record is 4 KiB with O_DIRECT and O_DSYNC. FILE.begun appears with the first one, and writing ends once FILE.end
exists. Then FILE gets a line of JSON: how many records the disk has acknowledged, the longest wait for one in
milliseconds, the errors, and how many records read back wrong. Runs alone.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time
from pathlib import Path

SIZE = 4096
PLACES = 1024


def main() -> None:
    """Write, then read back the newest record of each place."""
    device, file = sys.argv[1], Path(sys.argv[2])
    end = Path(f"{file}.end")
    memory = mmap.mmap(-1, SIZE)
    descriptor = os.open(device, os.O_RDWR | os.O_DIRECT | os.O_DSYNC)
    number, longest_s, errors = 0, 0.0, list[str]()
    newest: dict[int, int] = {}
    while not end.exists():
        begun_s = time.monotonic()
        memory[:8] = number.to_bytes(8, "big")
        try:
            os.pwrite(descriptor, memory, number % PLACES * SIZE)
            newest[number % PLACES] = number
        except OSError as error:
            errors.append(str(error.strerror))
            if len(errors) > 10:
                break
        longest_s = max(longest_s, time.monotonic() - begun_s)
        number += 1
        if number == 1:
            Path(f"{file}.begun").touch()
    wrong = 0
    for place, expected in newest.items():
        os.preadv(descriptor, [memory], place * SIZE)
        wrong += int.from_bytes(memory[:8], "big") != expected
    told = {"records": len(newest), "written": number, "longest_ms": round(longest_s * 1000), "errors": errors}
    file.write_text(json.dumps({**told, "wrong": wrong}) + "\n")


main()
