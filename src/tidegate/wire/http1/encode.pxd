cimport cython

from ...http cimport Defaults, Field


@cython.locals(field=Field, parts=list, status_lines=dict)
cpdef bytes encode_head(status, fields, int roles, Defaults defaults, bytes framing, bytes body=*)
cpdef bytes chunk(bytes data)
cpdef bytes _status_line(status)
