"""PAL (Zhang et al. 2022): an action pasted into two other videos; contrast the aligned regions.

Used by training and preview, by name. Imports common, models, feed (its Draws), gpuaug and, for cards, data.
"""
