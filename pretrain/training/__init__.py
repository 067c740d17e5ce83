"""The training run: settings, loop, optimiser, validation, the run folder.

Used by the commands train and preview. Imports tasks, feed, models, data, common and gpuaug.
"""
