cpdef parse_head(bytes block, limits)
cpdef bint _judge(bytes block, Py_ssize_t lines) except -1
cpdef tuple parse_field(bytes line)
cpdef _consequences(head, int seen, limits)
cpdef tuple _request_line(bytes line)
cpdef tuple _field(bytes line)
cpdef tuple _name(bytes name)
