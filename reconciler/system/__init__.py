"""Adapters: one module per outside thing, reading and writing together. The only ring that touches the world."""
