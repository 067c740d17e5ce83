"""The decoders behind `gpuaug.Decoder`: PyAV (any machine) and DALI (GPUs, and a few codecs on the CPU).

Used by decoder.py alone. A backend imports frame_index, demux and the kernels; DALI is imported in dali.py only.
"""
