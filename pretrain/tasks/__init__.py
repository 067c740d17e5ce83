"""The pretext tasks, a folder each: what a sample shows, its target, head and loss, and its card on a page.

Used by training, reports and the command preview. Imports common, features, models and gpuaug, feed
(how windows are drawn) and, for cards, data; never training. A new one: docs/tasks.md.
"""
