"""Video encoders by name, their weights from many sources, and checkpoints.

Used by tasks, features, training and commands. Imports common, shots (its network) and gpuaug.
"""
