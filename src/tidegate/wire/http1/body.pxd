cdef class LengthBody:
    cdef Py_ssize_t _remaining
    cdef public bint ended
    cdef public object error
    cdef public bytes rest
    cdef public list trailers

    cpdef bytes feed(self, bytes data)


cdef class ChunkedBody:
    cdef object _limits
    cdef int _state
    cdef bytes _line
    cdef Py_ssize_t _remaining
    cdef object _total
    cdef Py_ssize_t _extensions_size
    cdef Py_ssize_t _trailer_size
    cdef public bint ended
    cdef public object error
    cdef public bytes rest
    cdef public list trailers

    cpdef bytes feed(self, bytes data)
    cpdef _check_line_size(self, Py_ssize_t size)
    cpdef _on_line(self, bytes line)
    cpdef _on_size(self, bytes line)
    cpdef _on_trailer(self, bytes line)
