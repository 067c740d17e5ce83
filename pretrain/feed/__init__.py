"""The loaders of training and of held-out batches, and the settings that steer them.

Used by tasks, training and the command preview. Imports common and gpuaug; knows no task: what a batch shows is the
task's `sample` function, and how it draws windows the task says itself (`Draws`).
"""
