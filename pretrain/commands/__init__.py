"""`gpuaug COMMAND`: one module a command, from argv to one call. Nothing but __main__ imports them.

May import everything in pretrain.
"""
