cdef class Http1Core:
    cdef object _sink
    cdef object _limits
    cdef int _state
    cdef bytearray _buffer
    cdef object _scanner
    cdef bint _skipped_empty_line
    cdef object _body
    cdef bint _eof
    cdef bint _chunked
    cdef public object head
    cdef public bint keep_alive

    cpdef receive(self, bytes data)
    cpdef receive_eof(self)
    cpdef bint finish(self) except -1
    cpdef next_request(self)
    cpdef close(self)
    cpdef release(self)
    cpdef bytes hand_over(self)
    cpdef _advance(self)
    cpdef bytes _take(self, Py_ssize_t length)
    cpdef _on_bad_head(self, bytes data, Py_ssize_t end)
    cpdef _on_head(self, head, bytes rest)
    cpdef _begin_body(self, head, bytes data)
    cpdef _after_content(self, body, bytes content)
    cpdef _end_body(self, body)
    cpdef bytes respond(
        self, status, fields, int roles, length, defaults, bytes body=*, bint ended=*
    )
    cpdef bytes _respond_unframed(
        self, status, fields, int roles, defaults, bytes body, bint ended
    )
    cpdef bytes send_body(self, bytes data, bint ended)
