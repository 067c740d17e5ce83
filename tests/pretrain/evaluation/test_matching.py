"""What detection, proposals and grounding share: the order of predictions."""

import numpy as np
import pytest

from pretrain.evaluation.matching import descending


@pytest.mark.parametrize("ties", ["later", "earlier"])
def test_equal_scores_keep_their_order_however_many(ties):
    """Sorting that is not stable is so for few rows all the same."""
    score = np.random.default_rng(0).integers(0, 3, 2000) / 3
    rows = sorted(range(len(score)), key=lambda row: (-score[row], row if ties == "earlier" else -row))
    assert descending(score, ties).tolist() == rows


def test_other_rules_for_ties_are_refused():
    with pytest.raises(ValueError, match="ties must be 'later' or 'earlier', got ties='first'"):
        descending(np.zeros(2), "first")
