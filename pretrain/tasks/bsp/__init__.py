"""BSP (Xu et al. 2021): two clips stitched, cross-faded or re-timed; classify the boundary.

Used through pretrain.tasks. Imports models and gpuaug.
"""
