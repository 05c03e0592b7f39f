"""The receiver of alerts in the demonstration: a webhook that checks signatures and appends each event to a file.

python -m reconciler.demo.alert_receiver ADDRESS PORT SECRET_FILE OUTPUT_FILE
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from reconciler.system.http.webhook_signatures import SIGNATURE_HEADER, is_valid_signature


def main() -> None:
    """Serve until ended."""
    address, port, secret_file, output_file = sys.argv[1:]
    secret = Path(secret_file).read_bytes().strip()
    output = Path(output_file)

    class Handler(BaseHTTPRequestHandler):
        # A sender may lose power in the middle of a request; the next one must not wait for it.
        timeout = 5

        def do_POST(self) -> None:
            body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 1 << 20))
            good = is_valid_signature(self.headers.get(SIGNATURE_HEADER, ""), body, secret, time.time())
            self.send_response(204 if good else 401)
            self.end_headers()
            if good:
                with output.open("a") as file:
                    file.write(json.dumps({"at_s": time.time(), "event": json.loads(body)}) + "\n")

        def log_message(self, format: str, *arguments: object) -> None:
            """Print nothing: the demonstration has its own output."""

    ThreadingHTTPServer((address, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
