cdef class Reply:
    cdef public object _wake
    cdef public bint takes_files
    cdef public object _lock
    cdef public bint _woken
    cdef public object _start
    cdef public list _chunks
    cdef public Py_ssize_t _size
    cdef public object _file
    cdef public bint _ended
    cdef public bint _over
    cdef public object _error
    cdef public bint _gone
    cdef public bint _quiet
    cdef public object _gate

    cpdef put(self, start, bytes data, bint ended=*)
    cpdef finish(self, error, start, bytes data)
    cpdef tuple take(self)
    cpdef lost(self, bint quietly=*)
