"""The pure rings: facts, the language, planning, failover. Nothing here reads a clock or touches the world."""
