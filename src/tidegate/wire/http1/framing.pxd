cimport cython


@cython.locals(lengths=list, codings=list, digits=bytes, name=bytes, value=bytes)
cpdef body_length(str version, list headers, limit)
