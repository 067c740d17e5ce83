"""Shots and transitions: a small network over frames, and what its outputs mean: cuts, ranges of transitions, jumps.

Used by models (the encoder "shots"), tasks, evaluation, reports and commands. Imports common and gpuaug.
"""
