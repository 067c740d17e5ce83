"""The kernels of blend and render: arithmetic for both devices, loops for each, two compilers.

Used by the modules of gpuaug that execute plans, and by video, for its pixels. Imports nothing of gpuaug; only cuda.py
imports CuPy.
"""
