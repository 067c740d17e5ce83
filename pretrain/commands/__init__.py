"""`gpuaug COMMAND`: one module a command, from argv to one call. Nothing but __main__ imports them.

Used by __main__ and, to run whole programs, by the study. May import everything in pretrain.
"""
