cimport cython

from ...http cimport Defaults, Head
from .encode cimport encode_head
from .head cimport parse_head


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
    cdef public Head head
    cdef public bint keep_alive

    @cython.locals(head=Head, end=Py_ssize_t)
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
    cpdef _on_head(self, Head head, bytes rest)
    cpdef _begin_body(self, Head head, bytes data)
    cpdef _after_content(self, body, bytes content)
    cpdef _end_body(self, body)
    @cython.locals(head=Head, framing=bytes)
    cpdef bytes respond(
        self, status, fields, int roles, length, Defaults defaults, bytes body=*, bint ended=*
    )
    cpdef bytes _respond_unframed(
        self, status, fields, int roles, Defaults defaults, bytes body, bint ended
    )
    cpdef bytes send_body(self, bytes data, bint ended)
