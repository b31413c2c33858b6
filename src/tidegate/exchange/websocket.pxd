cimport cython

from .exchange cimport Exchange


cdef class WebSocketExchange(Exchange):
    cdef public object _socket
    cdef public object _denial
    cdef public bytes target
    cdef public dict scope
    cdef public double started_at
    cdef public int _state
    cdef public bint _connected
    cdef public list _subprotocols
    cdef public bint _drains
    cdef public object ping_interval
    cdef public list _inbox
    cdef public Py_ssize_t _size
    cdef public bint _paused
    cdef public tuple _close
    cdef public object names

    @cython.locals(event=dict)
    cpdef send(self, message)
    cpdef message_arrived(self, message)
    cpdef _send(self, dict message)
