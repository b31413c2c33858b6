"""HTTP/2 without I/O (RFC 9113), its header compression (RFC 7541) and priorities (RFC 9218)."""
