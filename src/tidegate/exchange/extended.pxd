from ..http cimport Head
from .exchange cimport Exchange


cdef class ExtendedExchange(Exchange):
    cdef public Head head
    cdef public object _status
    cdef public list _fields
    cdef public int _roles
    cdef public bint _bodyless
    cdef public object _declared
    cdef public object _sent
    cdef public int _needs
    cdef public list _trailers
    cdef public bint head_sent
    cdef public bint complete
    cdef public object size

    cpdef _check_length(self, bint ended)
    cpdef _complete(self)
