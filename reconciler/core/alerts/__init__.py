"""Alerts: their values, how they are built, and how many of them wait for each target."""
