"""Annotations, results, lists of videos: every file format, and the tables and data sets made of them.

Used by feed, features, evaluation and everything above. Imports common and gpuaug.
"""
