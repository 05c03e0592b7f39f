"""The language: what a person writes in YAML, checked and compiled into facts. Does not know the live system."""

from __future__ import annotations

from reconciler.core.spec.compiler import compile_desired
from reconciler.core.spec.configuration import Configuration
from reconciler.core.spec.loader import load
from reconciler.core.spec.policies import settings

__all__ = [
    "Configuration",
    "compile_desired",
    "load",
    "settings",
]
