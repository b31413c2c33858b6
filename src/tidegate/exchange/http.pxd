from .extended cimport ExtendedExchange


cdef class HttpExchange(ExtendedExchange):
    cdef public Py_ssize_t _buffered
    cdef public bint _delivered
    cdef public bint _ended
    cdef public bint _left
    cdef public bint _paused
    cdef public list _pieces
    cdef public bint _drains
    cdef public object _drain
    cdef public Py_ssize_t _received
    cdef public double first_at
    cdef public object names
    cdef public dict scope
    cdef public double started_at

    cpdef send(self, message)
    cpdef body_arrived(self, bytes data, bint ended)
    cpdef _start(self, message)
    cpdef _take(self)
