cimport cython

from ..exchange.websocket cimport WebSocketExchange
from ..wire.websocket.core cimport WebSocketCore
from .connection cimport Connection


cdef class WebSocketSession:
    cdef public object worker
    cdef public object _carrier
    cdef public object _handshake
    cdef public str scheme
    cdef public object client
    cdef public object server
    cdef public bint trusted
    cdef public object tls
    cdef public object _stream
    cdef public WebSocketCore _core
    cdef public WebSocketExchange exchange
    cdef public bint _app_paused
    cdef public bint _peer_paused
    cdef public bint _turn_due
    cdef public double _ping_at
    cdef public double _ping_sent
    cdef public bytes _ping_payload
    cdef public double _unanswered
    cdef public double _close_by
    cdef public object round_trip

    @cython.locals(core=WebSocketCore)
    cpdef send_message(self, message)
    cpdef receive(self, bytes data)
    cpdef on_message(self, message)
    cpdef _write(self, bytes data)


cdef class BareWebSocket(Connection):
    cdef public WebSocketSession session
    cdef public bint _reading_paused

    cpdef data_received(self, bytes data)
