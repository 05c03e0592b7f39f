"""A hook of git in the hosted repository (githooks(5)): it asks the agent, and prints what the agent says.

    pre-receive            what is pushed, with its objects as a pack: judged by both controllers, planned
    reference-transaction  the branch is locked and about to move: the peer moves first
    proc-receive           a plan: said to be done, and nothing moves
    post-receive           the branch has moved: what is said to the person who pushed

What a hook writes to standard error is the output of the push. Runs as the git user and decides nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

from reconciler.printing import printable_text
from reconciler.system.push.agent_client import AgentReply, ask_agent

INPUT_BYTES_MAX: Final = 1 << 16
OPTIONS_MAX: Final = 8
PACK_BYTES_MAX: Final = 16 << 20
PACKET_BYTES_MAX: Final = 65_520
_PACK: Final = ("git", "pack-objects", "--revs", "--stdout", "-q")


def main() -> int:
    """Run the hook named by the first argument; the second is the agent's socket."""
    hook, socket = sys.argv[1], sys.argv[2]
    if hook == "proc-receive":
        return _proc_receive()
    text = sys.stdin.read(INPUT_BYTES_MAX)
    if hook == "reference-transaction":
        # git names HEAD, too, where it leads to the branch.
        text = "".join(line for line in text.splitlines(keepends=True) if " refs/heads/" in line)
    fields = {"updates": text, "options": _options(), "pusher": os.environ.get("HAGIT_PUSHER", "")}
    if hook == "pre-receive":
        reply = ask_agent(socket, "begin", fields, show=_show)
        if reply.accepted:
            reply = _receive(socket, fields, reply)
    elif hook == "reference-transaction":
        if not text:
            return 0
        reply = ask_agent(socket, "move", fields, show=_show)
    else:
        reply = ask_agent(socket, "moved", fields, show=_show)
    if reply.text:
        _show(reply.text)
    return 0 if reply.accepted else 1


def _receive(socket: str, fields: dict[str, object], begun: AgentReply) -> AgentReply:
    """Send the new objects. `begun` names the tip, and commits that both controllers have."""
    tip, have = str(begun.document.get("tip", "")), begun.document.get("have", [])
    lines = [tip, *(f"^{commit}" for commit in have if isinstance(commit, str) and _is_here(commit))]
    with subprocess.Popen(_PACK, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as packer:
        assert packer.stdin is not None and packer.stdout is not None
        packer.stdin.write("".join(f"{line}\n" for line in lines).encode())
        packer.stdin.close()
        pack = packer.stdout.read(PACK_BYTES_MAX + 1)
        if len(pack) > PACK_BYTES_MAX:
            packer.kill()
            return AgentReply(False, f"hagit: more than {PACK_BYTES_MAX >> 20} MiB are new; push in several steps")
    if packer.returncode != 0:
        return AgentReply(False, "hagit: git cannot pack what was pushed")
    return ask_agent(socket, "receive", fields, pack, show=_show)


def _is_here(commit: str) -> bool:
    done = subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], stderr=subprocess.DEVNULL, check=False)
    return done.returncode == 0


def _options() -> list[str]:
    """The options of the push (git-push(1), -o)."""
    count = os.environ.get("GIT_PUSH_OPTION_COUNT", "0")
    wanted = min(int(count), OPTIONS_MAX) if count.isdigit() else 0
    return [os.environ.get(f"GIT_PUSH_OPTION_{index}", "")[:200] for index in range(wanted)]


def _show(text: str) -> None:
    # Names and messages of commits are text of others.
    print(printable_text(text), file=sys.stderr, flush=True)


def _proc_receive() -> int:
    """Answer git that each plan was taken (githooks(5), proc-receive; gitprotocol-common(5), pkt-line)."""
    _read_packets()
    _write_packet(b"version=1\0\n")
    _write_flush()
    for line in _read_packets():
        name = line.split(b" ")[2].strip()
        _write_packet(b"ok " + name)
    if b"push-options" in _features:
        _read_packets()
    _write_flush()
    return 0


_features: set[bytes] = set()


def _read_packets() -> list[bytes]:
    """The lines up to a flush packet."""
    found: list[bytes] = []
    while True:
        size = int(sys.stdin.buffer.read(4) or b"0000", 16)
        if size < 4:
            return found
        line = sys.stdin.buffer.read(min(size, PACKET_BYTES_MAX) - 4)
        if line.startswith(b"version=1"):
            _features.update(line.partition(b"\0")[2].strip().split(b" "))
        found.append(line.rstrip(b"\n"))


def _write_packet(line: bytes) -> None:
    sys.stdout.buffer.write(f"{len(line) + 4:04x}".encode() + line)


def _write_flush() -> None:
    sys.stdout.buffer.write(b"0000")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
