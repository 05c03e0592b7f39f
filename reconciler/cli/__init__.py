"""The command line: one module for each command. `application` imports only the one that was typed."""
