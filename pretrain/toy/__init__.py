"""Toy videos: moving sprites whose labels only motion tells, as real files with annotations.

Used by the commands toy and demo, examples, tests and the study. Imports common and gpuaug.
"""
