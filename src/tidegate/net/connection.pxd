from ..exchange.service cimport Service


cdef class Connection:
    cdef public object worker
    cdef public Service service
    cdef public str scheme
    cdef public object tls
    cdef public object client
    cdef public object server
    cdef public bint trusted
    cdef public dict basis
    cdef public bint congested
    cdef public bint peer_ended
    cdef public bint closing
    cdef public object exchange
    cdef public double deadline
    cdef public object transport
    cdef public Py_ssize_t max_discarded
    cdef public object _on_deadline
    cdef public Py_ssize_t _discarded
    cdef public object _file
    cdef public bint _held_back
    cdef public Py_ssize_t _unsent
    cdef public object _writing
    cdef object __weakref__

    cpdef write(self, bytes data)
    cpdef wait_at_most(self, double seconds, otherwise)
    cpdef watch(self)
