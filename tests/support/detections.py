"""A small ground truth and predictions, whose scores the reference tools gave."""

from pretrain.data.segments import Segments

TRUTH = Segments.of(
    [
        ("v1", 0, 10, "A"),
        ("v1", 20, 30, "A"),
        ("v1", 40, 45, "B"),
        ("v2", 5, 15, "A"),
        ("v2", 50, 60, "B"),
        ("v3", 0, 100, "B"),
    ]
)
ROWS = [
    ("v1", 0, 10, "A", 0.9),
    ("v1", 1, 10, "A", 0.8),
    ("v1", 21, 31, "A", 0.7),
    ("v2", 4, 12, "A", 0.6),
    ("v9", 0, 5, "A", 0.95),
    ("v1", 40, 46, "B", 0.5),
    ("v2", 50, 58, "B", 0.5),
    ("v3", 10, 90, "B", 0.4),
    ("v3", 0, 52, "B", 0.3),
    ("v2", 5, 15, "B", 0.85),
]
