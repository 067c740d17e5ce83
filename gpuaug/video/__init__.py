"""Files to frames on a device, by time stamp: windows, the decoder, its backends, and probing.

Used by whoever needs decoded windows: pretrain's feed and feature extraction, users. Knows nothing of plans: it may
import `kernels`, never plan, edits, render or functional.
"""
