"""The fixtures that the tests of alerts have: values from other threads, a file with a secret."""

from tests.system.alerts.conftest import secret_file, waiting

__all__ = ["secret_file", "waiting"]
