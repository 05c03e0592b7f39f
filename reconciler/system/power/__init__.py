"""Power fencing: agents of the package fence-agents, or others that speak their language, run with a deadline."""
