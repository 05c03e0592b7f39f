"""Controllers for commands."""

from tests.controller import controller, make_controller

__all__ = ["controller", "make_controller"]
