"""hagit: high availability for Linux storage pairs, configured from git."""

__version__ = "0.1.0"
