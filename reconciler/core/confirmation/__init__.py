"""Confirm or roll back: which changes could cut a controller off, what has to answer after one, and when it goes back.

Pure: `agent/change_guard` asks the probes and the clock, keeps the record on disk, and goes back.
"""
