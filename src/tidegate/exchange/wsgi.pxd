cimport cython

from ..bridge.wsgi.reply cimport Reply
from .http cimport HttpExchange
from .service cimport Service


cdef class Host:
    cdef public object wsgi
    cdef public str prefix
    cdef public object mailbox
    cdef public object _loop
    cdef public object _context
    cdef public list _arrived
    cdef public dict _templates

    cpdef dict template(self, str scheme, server)
    cpdef enqueue(self, exchange)


cdef class WsgiExchange(HttpExchange):
    cdef public object _body
    cdef public object _hungry
    cdef public bint _ready
    cdef public Reply _reply

    cpdef begin(self)
    @cython.locals(environ=dict, service=Service, host=Host)
    cpdef dict _environ(self)
    cpdef _wake(self)
    @cython.locals(chunks=list)
    cpdef _send(self, start, list chunks, part, bint ended)
    cpdef _start_with(self, status, reason, list headers)
