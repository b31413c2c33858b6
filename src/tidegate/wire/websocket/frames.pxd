cimport cython


cpdef bytes unmask(bytes data, bytes key, Py_ssize_t offset=*)
@cython.locals(size=Py_ssize_t, first=int)
cpdef bytes build_frame(int opcode, bytes payload, bint compressed=*)
@cython.locals(mask=bytes)
cpdef bytes _xor(bytes data, bytes key, Py_ssize_t size)
