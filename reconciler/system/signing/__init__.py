"""Single signatures, checked by the tools that made them, for `reconciler.system.signatures`."""
