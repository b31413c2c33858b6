cimport cython

from ..http cimport Field, Head
from .extended cimport ExtendedExchange
from .service cimport Service


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

    @cython.locals(event=dict, body=bytes, ended=bint)
    cpdef send(self, message)
    cpdef body_arrived(self, bytes data, bint ended)
    @cython.locals(checked=Field, role=int, roles=int, fields=list, known=dict)
    cpdef _start(self, dict message)
    cpdef _take(self)
    @cython.locals(extensions=dict, scope=dict, basis=dict, raw_path=bytes)
    cpdef dict _make_scope(self, Head head, Service service)
