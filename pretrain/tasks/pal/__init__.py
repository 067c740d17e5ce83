"""PAL (Zhang et al. 2022): an action pasted into two other videos; contrast the aligned regions.

Used by training, by name. Imports gpuaug.
"""
