cpdef bytes encode_head(status, fields, int roles, defaults, bytes framing, bytes body=*)
cpdef bytes chunk(bytes data)
cpdef bytes _status_line(status)
