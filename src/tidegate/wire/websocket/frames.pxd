cpdef bytes unmask(bytes data, bytes key, Py_ssize_t offset=*)
cpdef bytes build_frame(int opcode, bytes payload, bint compressed=*)
cpdef bytes _xor(bytes data, bytes key, Py_ssize_t size)
