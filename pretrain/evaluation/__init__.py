"""The metrics of detection, proposals, grounding, steps and shots, each giving its reference tool's numbers.

Used by localization, training's validation and the command evaluate. Imports data and common.
"""
