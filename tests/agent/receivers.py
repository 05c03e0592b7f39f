"""Debian's Alertmanager and a webhook receiver, both on a controller's own network."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from tests.controller import Controller
from tests.ports import kept_port
from tests.system.alerts.conftest import Receiver
from tests.wait import until

PORT = 9093


class Alertmanager:
    """Debian's prometheus-alertmanager on the controller. `hook`: URL that it notifies."""

    def __init__(self, controller: Controller, hook: str = "") -> None:
        self._controller = controller
        self.url = f"http://127.0.0.1:{PORT}"
        directory = controller.root / "alertmanager"
        directory.mkdir(exist_ok=True)
        webhook = f"webhook_configs: [{{url: '{hook}', send_resolved: true}}]" if hook else ""
        (directory / "alertmanager.yml").write_text(
            "route: {receiver: all, group_by: ['...'], group_wait: 1s, group_interval: 1s}\n"
            f"receivers:\n  - name: all\n    {webhook}\n"
        )
        self._argv = controller.machine.enter(
            [
                "prometheus-alertmanager",
                f"--config.file={directory / 'alertmanager.yml'}",
                f"--storage.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{PORT}",
                "--cluster.listen-address=",
                "--log.level=error",
            ]
        )
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Alertmanager:
        """Start it, and wait until it answers."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._argv, stdout=log, stderr=log)
        until(lambda: self._get("/-/ready") is not None, self._log.read_text)
        return self

    def stop(self) -> None:
        """Stop it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def alerts(self) -> list[dict[str, Any]]:
        """The firing alerts."""
        return list(json.loads(self._get("/api/v2/alerts") or b"[]"))

    def names(self) -> list[str]:
        """The names of the firing alerts, sorted."""
        return sorted(alert["labels"]["alertname"] for alert in self.alerts())

    def _get(self, path: str) -> bytes | None:
        def ask() -> bytes | None:
            try:
                with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                    return bytes(answer.read())
            except OSError:
                return None

        return self._controller.inside(ask)


class Hook:
    """A webhook receiver on the controller, and the alerts it received, in order."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._receiver = controller.inside(Receiver)
        self._kept: socket.socket | None = None
        self.url = self._receiver.url

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """Every body so far."""
        return [json.loads(request.body) for request in list(self._receiver.requests.got)]  # type: ignore[attr-defined]

    @property
    def headers(self) -> list[dict[str, str]]:
        """The headers of every request so far."""
        return [request.headers for request in list(self._receiver.requests.got)]  # type: ignore[attr-defined]

    def raw(self) -> list[bytes]:
        """The bytes of every body so far."""
        return [request.body for request in list(self._receiver.requests.got)]  # type: ignore[attr-defined]

    def events(self, kind: str = "") -> list[tuple[str, str]]:
        """Status and subject of every CloudEvent so far, of one kind or of all."""
        data = [body["data"] for body in self.bodies]
        return [(alert["status"], alert["subject"]) for alert in data if kind in ("", alert["kind"])]

    def unique_events(self) -> list[tuple[str, str]]:
        """Status and subject of each CloudEvent once, by its id.

        An agent that is killed before it records a delivery sends the event again.
        """
        events = {body["id"]: body["data"] for body in self.bodies}
        return [(alert["status"], alert["subject"]) for alert in events.values()]

    def pause(self) -> None:
        """Stop listening; no other process may take the port meanwhile."""
        self._receiver.close()
        self._kept = self._controller.inside(lambda: kept_port(self._receiver.port))

    def go_on(self) -> None:
        """Listen at the same address again."""
        port = self._receiver.port
        self._receiver = self._controller.inside(lambda: Receiver(port))

    def close(self) -> None:
        """Close the receiver."""
        self._receiver.close()
        if self._kept is not None:
            self._kept.close()


def secret(path: Path) -> Path:
    """A file with a secret that only its owner reads."""
    path.write_text("correct-horse-battery-staple\n")
    path.chmod(0o600)
    return path
