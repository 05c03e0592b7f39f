"""The command line. Every heavy import is lazy: a command pays for what it uses."""
