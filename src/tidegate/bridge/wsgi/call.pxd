cimport cython

from .reply cimport Reply


cdef class Call:
    cdef public Reply _reply
    cdef public bint _head_only
    cdef public bint _started
    cdef public tuple _start
    cdef public bint _sent
    cdef public object _remaining

    @cython.locals(data=bytes, start=tuple)
    cpdef serve(self, application, dict environ)
    cpdef bytes _only(self, chunk)
    cpdef bint _put(self, bytes data, bint ended) except -1
    cpdef bytes _cut(self, bytes data)


@cython.locals(checked=list, known=tuple, known_headers=dict)
cpdef tuple _read_headers(headers)
cpdef tuple _read_status(status)
cpdef tuple _read_header(pair)
