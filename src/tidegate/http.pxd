cdef class Head:
    cdef public str method
    cdef public bytes target
    cdef public bytes path
    cdef public bytes query
    cdef public str version
    cdef public list headers
    cdef public str scheme
    cdef public long long body_length
    cdef public bytes upgrade
    cdef public bint keep_alive
    cdef public bint expects_continue
    cdef public bint forwarded
    cdef public bint takes_trailers


cdef class Field:
    cdef public bytes name
    cdef public bytes value
    cdef public int role
    cdef public long long length
    cdef public bytes line


cdef class Defaults:
    cdef public object fields
    cdef public bytes lines
