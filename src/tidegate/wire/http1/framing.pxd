cpdef body_length(str version, list headers, limit)
