"""The adapter of iSCSI in an emulated machine: `iscsi_server.py REQUESTS ANSWERS` serves two named pipes for ever.

A request is one JSON document up to its end of file: `shares`, as plain values; `secrets`, files by name; `deadline_s`;
`verbs`, each look, start or stop. The answer has one line for each verb: the view as JSON, with `ms`, the time that the
call took. One process for all requests, because a start of Python takes an emulated machine many seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reconciler.core.failover.strict_json import build, plain
from reconciler.core.shares.shares import Shares
from reconciler.system.shares.iscsi.server import KernelIscsiServer


def answers(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Play the verbs of a request in their order."""
    shares, deadline_s = build(Shares, document["shares"], "shares"), document["deadline_s"]
    server = KernelIscsiServer({name: Path(file) for name, file in document["secrets"].items()})
    for verb in document["verbs"]:
        begun_s = time.monotonic()
        if verb == "stop":
            view = server.stop(deadline_s)
        else:
            view = (server.start if verb == "start" else server.look)(shares, deadline_s)
        yield {**plain(view), "ms": round((time.monotonic() - begun_s) * 1000)}


def main() -> None:
    """Answer one request after the other."""
    requests, replies = map(Path, sys.argv[1:])
    while True:
        rows = [json.dumps(view) for view in answers(json.loads(requests.read_text()))]
        replies.write_text("".join(f"{row}\n" for row in rows))


main()
