"""What the benchmarks compare with: other libraries doing the same work, as functions without arguments.

Used by the benchmarks, by name. Imports pretrain and public names of gpuaug.
"""
