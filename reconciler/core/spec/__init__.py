"""The language: what a person writes in YAML, checked and compiled into facts. Does not know the live system."""
