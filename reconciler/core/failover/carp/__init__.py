"""CARP, version 2: `advertisement` (the bytes), `election` (which member is master), `monitor` (received packets)."""
