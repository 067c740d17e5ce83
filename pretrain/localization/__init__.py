"""A small temporal localiser on extracted features: boundary-matching proposals, labels, actionness.

Used by the command localize. Imports features, evaluation, data and common.
"""
