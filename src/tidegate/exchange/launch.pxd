# Its functions make functions, so none is named here; a plain compilation
# makes the start of a call cheaper.
