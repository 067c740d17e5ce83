"""What every part of pretrain may use: the command line, processes, statistics.

Used by all packages of pretrain. Imports gpuaug only.
"""
