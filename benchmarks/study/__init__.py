"""The study: every pre-training on toy videos, one localiser, one table.

Used by `make study`. Imports pretrain, mostly its commands.
"""
