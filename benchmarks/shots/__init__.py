"""The shot detector: its sources, and its comparison with TransNet V2 and PySceneDetect.

Used by people, step by step (docs/shots.md). Imports pretrain and gpuaug.
"""
