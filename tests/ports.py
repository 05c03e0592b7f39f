"""Ports of the loopback that a test chooses first; it, or a program, listens on them later."""

import socket


def kept_port(port: int = 0) -> socket.socket:
    """A socket that holds a port, 0 for a free one, while it is open, and does not listen: connections are refused.

    Who wants to listen there may (SO_REUSEADDR of socket(7), which servers set). A port that nobody held could be given
    meanwhile to any other connection of the machine, even as the near end of one that is made to this very port.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", port))
    return held
