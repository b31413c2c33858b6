from .service cimport Service


cdef class Exchange:
    cdef public object out
    cdef public Service service
    cdef public object task
    cdef public bint gone
    cdef public object _grace
    cdef public bint _told
    cdef public list _waiters

    cpdef begin(self)
    cpdef _finished(self)
    cpdef _nobody_listens(self)
    cpdef _wake(self)
