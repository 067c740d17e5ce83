"""The pretext tasks, a folder each: what a sample shows, its target, the head and its loss, its card on the preview page.

Used by training, reports and the command preview. Imports features, models, data, feed's Batch and gpuaug; never feed's
insides, training or reports.
"""
