"""Transitions of two clips as plans: kinds in families, random draws, labels

Used by edits, functional and users. Imports values, layers and plan, NumPy only.
"""

from .draw import DURATIONS, RANGES, WEIGHTS, draw
from .easing import EASINGS
from .edit import transition
from .kinds import FAMILIES, KINDS, LABELS, NAMES
from .labels import Labels, labels

__all__ = [
    "DURATIONS",
    "EASINGS",
    "FAMILIES",
    "KINDS",
    "LABELS",
    "NAMES",
    "RANGES",
    "WEIGHTS",
    "Labels",
    "draw",
    "labels",
    "transition",
]
