"""The demonstration: a pair in network namespaces of one machine."""
