cimport cython

from .frames cimport build_frame, unmask


cdef class WebSocketCore:
    cdef public object _sink
    cdef object _limits
    cdef Py_ssize_t _short
    cdef object _deflate
    cdef bytearray _buffer
    cdef bytes _rest
    cdef Py_ssize_t _start
    cdef int _opcode
    cdef bint _fin
    cdef bytes _key
    cdef object _remaining
    cdef object _offset
    cdef bytes _payload
    cdef int _type
    cdef bint _compressed
    cdef object _content
    cdef object _size
    cdef Py_ssize_t _empty
    cdef object _decoder
    cdef Py_ssize_t _controls
    cdef public bint close_sent
    cdef public bint closed
    cdef public bint held
    cdef public bint waiting

    @cython.locals(payload=bytes, size=Py_ssize_t)
    cpdef receive(self, bytes data)
    cpdef tick(self)
    cpdef release(self)
    cpdef str _decode(self, bytes payload)
    cpdef _read(self, bytes data)
    cpdef Py_ssize_t _read_header(self, bytes data, Py_ssize_t start) except? -2
    cpdef _check_first(self, int first)
    cpdef _begin_frame(self, int first, length)
    cpdef Py_ssize_t _on_data(self, bytes plain, bint ended) except -1
    cpdef _on_control(self, bytes plain, bint ended)
    cpdef bytes text(self, str message)
    cpdef bytes binary(self, bytes message)
    cpdef bytes ping(self, bytes payload)
    cpdef bytes pong(self, bytes payload)
    cpdef bytes close(self, int code, str reason=*)
    cpdef bytes _message(self, int opcode, bytes payload)
