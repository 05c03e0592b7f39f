"""An alert to try things with: drift of an address."""

from collections.abc import Callable

import pytest

from reconciler.core.alerts.alert import Alert, AlertKind, AlertStatus


def drift(number: int = 1, status: AlertStatus = AlertStatus.FIRING, **fields: object) -> Alert:
    values: dict[str, object] = {
        "kind": AlertKind.DRIFT,
        "status": status,
        "pair": "tank",
        "controller": "a",
        "resource": "Interface/storage0",
        "subject": f"address 10.0.0.{number}/24 on eth1",
        "summary": f"The address 10.0.0.{number}/24 is missing on eth1.",
        "desired": "present",
        "live": "absent",
        "since_s": 1_767_225_600.0 + number,
        "commit": "3f2c1ab" + "0" * 33,
        "author": "Ada <ada@example.org>",
        "signer": "ada@example.org",
        "origin": "network.yaml:12",
        "remedy": "hagit apply",
    }
    return Alert(**{**values, **fields})  # type: ignore[arg-type]


@pytest.fixture(name="drift")
def alert_factory() -> Callable[..., Alert]:
    return drift
