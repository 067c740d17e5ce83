"""Pages and pictures: samples, runs, features at boundaries, self-similarity.

Used by the commands preview, report, shots and similarity. Imports tasks (cards), feed (its Batch), features, data,
shots, common and gpuaug.
"""
