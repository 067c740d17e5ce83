"""Toy videos: moving sprites whose labels only motion tells, as real files with annotations.

Also scenes of few lines, for shots. Used by the commands toy and demo, examples, benchmarks, tests and the study.
Imports common and gpuaug.
"""
