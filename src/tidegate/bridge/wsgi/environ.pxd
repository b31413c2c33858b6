cimport cython


@cython.locals(path=str)
cpdef add_target(dict environ, bytes target, bytes raw_path, bytes query, str mount)
@cython.locals(keys=dict, name=bytes, value=bytes, key=str)
cpdef add_headers(dict environ, headers)
cpdef add_client(dict environ, client)
