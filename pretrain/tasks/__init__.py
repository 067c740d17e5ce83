"""The pretext tasks, a folder each: what a sample shows, its target, head and loss, and its card on a page.

Used by training, reports and the command preview. Imports common, features, models and gpuaug, for cards also data and
feed (its Batch); never training. A new one: docs/tasks.md.
"""
