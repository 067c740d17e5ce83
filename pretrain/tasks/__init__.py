"""The pretext tasks, a folder each: what a sample shows, its target, the head and its loss.

Used by training and the command preview. Imports features, models and gpuaug; never feed's insides or training.
"""
