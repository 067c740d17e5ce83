"""BSP (Xu et al. 2021): two clips stitched, cross-faded or re-timed; classify the boundary.

Used by training and preview, by name, and by benchmarks. Imports common, models (its teachers) and gpuaug, feed (its
Draws) and, for cards, data.
"""
