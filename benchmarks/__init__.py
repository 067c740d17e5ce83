"""How fast it is: a file a question, each with its peers in the same run.

Used by `make bench`, `make gpu` and docs/benchmarks.md. Imports pretrain and public names of gpuaug.
"""
