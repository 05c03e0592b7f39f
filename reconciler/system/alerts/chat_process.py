"""A child process that hands one message to Apprise, for `system/alerts/chat`.

    python -m reconciler.system.alerts.chat_process URL_FILE    # the message is on standard input

Reports a failure without the URL. Prints nothing, or one line with the reason; the exit status is 0 (accepted) or 1.
The file holds one URL, and comments that begin with `#`. An alarm ends the child when its parent has ended and the
service never answers.
"""

from __future__ import annotations

import json
import logging
import re
import signal
import sys
from typing import Final
from urllib.parse import unquote

from reconciler.errors import HagitError
from reconciler.system.alerts.chat import DEADLINE_S, EXIT_REFUSED, EXIT_TAKEN
from reconciler.system.secret import read_secret

_MESSAGE_BYTES_MAX: Final = 64 * 1024


class _Reasons(logging.Handler):
    """Keeps the log messages of Apprise."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def without_secrets(text: str, url: str) -> str:
    """`text` without any part of `url` that could be a user, password or token."""
    rest = url.partition("://")[2]
    parts = {part for form in (rest, unquote(rest)) for part in re.split(r"[:/@?&=#,]+", form) if len(part) >= 3}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, "***")
    return text


def send(url: str, message: dict[str, str]) -> str:
    """Send one message to the service of `url`; empty on success, else the reason."""
    try:
        import apprise
    except ImportError:
        return "the library for mail and chat is missing; run: pip install 'hagit[chat]'"
    reasons = _Reasons()
    logger = logging.getLogger("apprise")
    logger.handlers = [reasons]
    logger.propagate = False
    scheme, separator, _ = url.partition("://")
    if not separator:
        return "what the file holds is no URL"
    service = apprise.Apprise()
    if not service.add(url):
        return f"Apprise does not understand this {scheme}:// URL"
    # The body is text: Apprise escapes it where a service sends HTML, as mail does.
    kind, form = apprise.NotifyType(message["type"]), apprise.NotifyFormat.TEXT
    if service.notify(body=message["body"], title=message["title"], notify_type=kind, body_format=form):
        return ""
    detail = f": {' '.join(reasons.messages[-1].split())[:300]}" if reasons.messages else ""
    return without_secrets(f"the service behind the {scheme}:// URL did not take the message{detail}", url)


def main() -> int:
    """Send the message on standard input to the URL in the file `sys.argv[1]`."""
    signal.alarm(int(2 * DEADLINE_S))
    try:
        text = read_secret(sys.argv[1], bytes_min=1).decode(errors="replace")
    except HagitError as error:
        sys.stdout.write(str(error))
        return EXIT_REFUSED
    urls = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if len(urls) != 1:
        sys.stdout.write(f"{sys.argv[1]}: {len(urls)} URLs; one target has one")
        return EXIT_REFUSED
    why = send(urls[0], json.loads(sys.stdin.buffer.read(_MESSAGE_BYTES_MAX)))
    sys.stdout.write(why)
    return EXIT_REFUSED if why else EXIT_TAKEN


if __name__ == "__main__":
    sys.exit(main())
