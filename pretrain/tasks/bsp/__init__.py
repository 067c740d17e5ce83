"""BSP (Xu et al. 2021): two clips stitched, cross-faded or re-timed; classify the boundary.

Used by training, by name, and by cards and benchmarks. Imports models (its teachers) and gpuaug.
"""
