"""The study: every pre-training on toy videos, one localiser, one table."""
