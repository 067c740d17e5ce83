"""Layers of a plan: masks that open over time, places in the output, colours

Used by plan, transitions, reference, arguments and users. Imports values, NumPy only.
"""
