"""The language: what a person writes in YAML, checked and compiled into facts. Does not know the live system."""

from __future__ import annotations

from reconciler.core.spec.compiler import compile_desired, settings
from reconciler.core.spec.configuration import Configuration
from reconciler.core.spec.loader import load

__all__ = [
    "Configuration",
    "compile_desired",
    "load",
    "settings",
]
