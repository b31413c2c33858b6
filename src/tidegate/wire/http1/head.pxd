cimport cython

from ...http cimport Head
from .framing cimport body_length


@cython.locals(
    head=Head, lines=list, headers=list, line=bytes, pair=tuple, known=tuple, known_line=tuple,
    judged=bint, role=int, known_lines=dict, known_fields=dict, seen=int, method=str, target=bytes, path=bytes, query=bytes, version=str,
)
cpdef Head parse_head(bytes block, limits)
cpdef bint _judge(bytes block, Py_ssize_t lines) except -1
cpdef tuple parse_field(bytes line)
@cython.locals(headers=list, options=list)
cpdef _consequences(Head head, int seen, limits)
cpdef tuple _request_line(bytes line)
@cython.locals(known_names=dict, name=bytes, colon=bytes, value=bytes, lower=bytes, role=int)
cpdef tuple _field(bytes line)
cpdef tuple _name(bytes name)
