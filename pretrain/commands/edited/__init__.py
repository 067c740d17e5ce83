"""Commands that make edited videos, and pictures of edits

Used by __main__. Imports common, reports, shots, toy and gpuaug.
"""
