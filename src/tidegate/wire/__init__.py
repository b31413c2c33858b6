"""Protocols without I/O: bytes in, calls to a sink out; calls in, bytes out."""
