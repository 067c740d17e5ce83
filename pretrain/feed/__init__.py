"""From a data set to batches on the device: which windows next, decoding in the background, plan, render.

Used by training and the command preview. Imports data, common and gpuaug; knows no task: what a batch shows is the
task's `sample` function.
"""
