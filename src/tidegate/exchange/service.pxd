cdef class Service:
    cdef public object application
    cdef public object policy
    cdef public object loop
    cdef public object journal
    cdef public object naming
    cdef public object context
    cdef public object start
    cdef public dict state
    cdef public object defaults
    cdef public object running
    cdef public object total_requests
    cdef public object refusals
    cdef public object on_change
    cdef public object spec_version
    cdef public object lanes
    cdef public object entrance
    cdef public object _complaints
