"""Supply: which windows next, decoding in the background, windows in the bank for plans, batches for an encoder.

Used by pretrain, benchmarks and users, through `gpuaug.Loader`. Imports bank, plan, layers, render, crop, color and
video. It knows no task: what a batch shows is a plan function.
"""
