"""TSP (Alwassel et al. 2021): action class, and foreground against background with a global video feature.

Used by training, by name. Imports features (the GVF) and gpuaug.
"""
