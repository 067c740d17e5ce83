"""TSP (Alwassel et al. 2021): action class, and foreground against background with a global video feature.

Used by training and preview, by name. Imports common, models, features (the GVF), feed (its Draws), gpuaug and,
for cards, data.
"""
