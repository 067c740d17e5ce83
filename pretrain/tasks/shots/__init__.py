"""Shots: windows of several shots, and for every frame whether a new one begins, in what kind of transition.

Used by training and preview, by name, and by benchmarks. Imports common, shots (network and families) and gpuaug, feed
(its Draws) and, for cards, data.
"""
