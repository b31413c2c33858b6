cimport cython

from ..exchange.service cimport Service
from ..http cimport Head
from ..wire.http1.core cimport Http1Core
from .connection cimport Connection


cdef class BareHttp1(Connection):
    cdef public Http1Core core
    cdef public double _keep_alive
    cdef public bint _continue_wanted
    cdef public bint _reads
    cdef public bint _app_paused
    cdef public bint _ahead_paused
    cdef public bint _next_held
    cdef public bint _answered
    cdef public bint _began
    cdef public bint _head_started
    cdef public object _request_body
    cdef public Py_ssize_t _unwanted
    cdef public bint _ends_with_file
    cdef public bytes _first

    cpdef data_received(self, bytes data)
    @cython.locals(service=Service)
    cpdef on_request(self, Head head, bytes body, bint ended)
    cpdef on_body(self, bytes data, bint ended)
    cpdef respond(self, status, fields, int roles, length, bytes body, bint ended)
    cpdef send_body(self, bytes data, bint ended)
    cpdef _on_response_end(self)
    cpdef _on_other_bytes(self)
