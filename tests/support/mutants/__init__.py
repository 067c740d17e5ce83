"""Planted faults: a seeded sample of mutmut's mutants, and some made by hand in the kernels. See docs/mutants.md."""
