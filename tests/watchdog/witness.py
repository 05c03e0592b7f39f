"""`python -m tests.watchdog.witness INTERFACE OWN ADDRESS MS`: asks by ARP who has an address, and prints who answers.

`OWN` is the IPv4 address that asks. Prints "ready", then `<monotonic s> <MAC>` for each answer, until its standard
input is closed. Two controllers that answer at once both do so here, whatever a client's cache makes of it.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time

ARP = 0x0806


def main() -> None:
    interface, own, address, interval_ms = sys.argv[1:]
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ARP))
    raw.bind((interface, ARP))
    raw.setblocking(False)
    mac = raw.getsockname()[4]
    wanted = socket.inet_aton(address)
    question = b"\xff" * 6 + mac + ARP.to_bytes(2) + bytes.fromhex("0001080006040001")
    question += mac + socket.inet_aton(own) + bytes(6) + wanted
    print("ready", flush=True)
    next_s = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(raw, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            now_s = time.monotonic()
            if now_s >= next_s:
                raw.send(question)
                next_s = max(next_s + int(interval_ms) / 1_000, now_s)
            for key, _ in selector.select(max(0.0, next_s - time.monotonic())):
                if key.fileobj is sys.stdin:
                    if not sys.stdin.buffer.read1(4_096):
                        return
                    continue
                data = raw.recv(2_000)
                # A reply to us: gratuitous announcements are not answers.
                if data[20:22] == b"\0\2" and data[28:32] == wanted and data[:6] == mac:
                    sys.stdout.write(f"{time.monotonic():.4f} {data[22:28].hex(':')}\n")
                    sys.stdout.flush()


if __name__ == "__main__":
    main()
