"""CARP, version 2: `advertisement` (the bytes), `election` (who is master), `monitor` (what one interface hears)."""
