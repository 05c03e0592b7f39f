"""Adapters that serve the shares of a pair, one package for each protocol, and what keeps their clients undisturbed."""
