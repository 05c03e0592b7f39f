"""Controllers, and receivers of alerts that are on a controller's own network."""

from tests.controller import controller, make_controller

__all__ = ["controller", "make_controller"]
