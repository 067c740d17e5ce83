"""The kernels of blend, render and plans with layers: arithmetic for both devices, loops for each, two compilers.

Used by the modules of gpuaug that execute plans, and by video, for its pixels. Imports layers; only cuda.py imports
CuPy.
"""
