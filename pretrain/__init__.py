"""Pre-training of video encoders that know when something happens: BSP, PAL, TSP, and measures.

Used by users, as commands, by benchmarks and, for toy videos, by examples. May import public names of gpuaug. A package
in here imports only from those to its left: common ← data, models, toy ← feed, features, evaluation ← tasks,
localization ← training, reports ← commands.
"""
