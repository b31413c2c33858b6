"""HTTP/3 on a QUIC connection that somebody else keeps."""
