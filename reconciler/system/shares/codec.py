"""Views of servers as messages of a worker. What clients and programs wrote in them is cut and cleaned here.

A message holds no clients: `client_file` keeps them. Decides nothing.
"""

from __future__ import annotations

from typing import Any, Final

from reconciler.core.shares.ports import ServerView, Serving, ShareProblem
from reconciler.core.shares.shares import Protocol
from reconciler.system.message_stream import Message

#: A message names at most this many problems and shares, and this many steps and figures.
PROBLEMS_MAX: Final = 200
SHARES_MAX: Final = 4_096
STEPS_MAX: Final = 32
TEXT_CHARACTERS_MAX: Final = 300


def cleaned(text: str, most: int = TEXT_CHARACTERS_MAX) -> str:
    """A text from outside as one line that prints, of at most `most` characters."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:most])


def plain_server(view: ServerView) -> Message:
    """A view as a message, without its clients."""
    return {
        "serving": view.serving.value,
        "served": [cleaned(name) for name in view.served[:SHARES_MAX]],
        "problems": [
            [one.protocol.value, cleaned(one.name), cleaned(one.text), cleaned(one.remedy), one.served, one.changed]
            for one in view.problems[:PROBLEMS_MAX]
        ],
        "clients": view.clients_count,
        "steps": [[cleaned(name, 40), ms] for name, ms in view.steps_ms[:STEPS_MAX]],
        "figures": [[cleaned(name, 40), count] for name, count in view.figures[:STEPS_MAX]],
    }


def read_server(message: Any) -> ServerView:
    """A view from a message. Raises ValueError, KeyError or TypeError for a malformed one."""
    return ServerView(
        Serving(message["serving"]),
        tuple(str(name) for name in message["served"]),
        tuple(
            ShareProblem(Protocol(protocol), str(name), str(text), str(remedy), bool(served), bool(changed))
            for protocol, name, text, remedy, served, changed in message["problems"]
        ),
        (),
        int(message["clients"]),
        tuple((str(name), int(ms)) for name, ms in message["steps"]),
        tuple((str(name), int(count)) for name, count in message["figures"]),
    )
