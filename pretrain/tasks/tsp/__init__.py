"""TSP (Alwassel et al. 2021): action class, and foreground against background with a global video feature.

Used through pretrain.tasks. Imports features and gpuaug.
"""
