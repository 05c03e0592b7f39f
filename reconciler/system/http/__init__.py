"""HTTP with limits on time and bytes: a client for POST requests and a small server."""
