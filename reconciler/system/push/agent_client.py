"""Asking the agent over its unix socket: the side of git's hooks and of the shell of the git user.

    request:   one line of JSON, with `attachment`: the number of bytes that follow it
    replies:   lines of JSON: {"text": ...} any number of times, then one with "accepted"

Imports little, because every push starts several such processes.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

FORMAT: Final = "hagit.push/1"
LINE_BYTES_MAX: Final = 1 << 20
#: A push waits this long for the agent: both verifications, and the moves of both controllers.
ANSWER_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class AgentReply:
    """`accepted`: go on. `text`: for the person who pushes. `document`: what else was answered."""

    accepted: bool
    text: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)


def ask_agent(
    path: str,
    request: str,
    fields: Mapping[str, Any],
    attachment: bytes = b"",
    *,
    show: Callable[[str], None] = lambda text: None,
    timeout_s: float = ANSWER_S,
) -> AgentReply:
    """The agent's reply; a refusal with the reason when there is none. `show` gets texts that come before the end."""
    head = {"format": FORMAT, "request": request, **fields, "attachment": len(attachment)}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(path)
            # An agent that refuses early finds the answer read all the same.
            with contextlib.suppress(ConnectionError):
                connection.sendall(json.dumps(head).encode() + b"\n" + attachment)
            with connection.makefile("rb") as lines:
                while line := lines.readline(LINE_BYTES_MAX):
                    document = json.loads(line)
                    if "accepted" not in document:
                        show(str(document.get("text", "")))
                        continue
                    more = document.get("document")
                    return AgentReply(
                        document["accepted"] is True,
                        str(document.get("text", "")),
                        more if isinstance(more, dict) else {},
                    )
    except TimeoutError:
        return AgentReply(False, f"hagit's agent has not answered within {timeout_s:g} s; nothing was changed")
    except (OSError, ValueError) as error:
        why = f"hagit's agent does not answer on this controller ({error}): systemctl start hagit-agent"
        return AgentReply(False, why)
    return AgentReply(False, "hagit's agent ended before it answered; look at its journal, and push again")
