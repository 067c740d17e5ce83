"""What a plan's transitions are, read from the plan. NumPy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..plan import Plan, columns_of, with_columns
from .kinds import KINDS, LABELS, NAMES

CUT, JUMP = LABELS.index("cut"), LABELS.index("jump")


class Labels(NamedTuple):
    """All transitions of a plan, sample by sample, in order of time; int64 (E,) each.

    `first` … `last` are the frames in the middle of a gradual transition, where neither clip is shown alone; `new` is
    the first frame after them. Of cuts, and of jumps (frames left out of one clip), `new` is the first frame after
    them, and `first` and `last` are −1. `new` is T where a plan ends within a transition.
    """

    sample: NDArray[np.int64]
    kind: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    new: NDArray[np.int64]

    @property
    def names(self) -> list[str]:
        """The kinds by name."""
        return [LABELS[kind] for kind in self.kind]

    @property
    def families(self) -> list[str]:
        """The kinds' families."""
        return [KINDS[name].family if name in NAMES else name for name in self.names]


def labels(plan: Plan) -> Labels:
    """The transitions of a plan that edits made, whatever was done to it since.

    Plans that were put together by `where` and `fade` of unmarked ones have no marks, and no labels.

    >>> from .edit import transition
    >>> clips = Plan.take(0, range(6)), Plan.take(1, range(6))
    >>> found = labels(transition(*clips, ["wipe_left", "cut"], length=6, start=[1, 3], duration=[4, 0]))
    >>> found.names, found.first.tolist(), found.last.tolist(), found.new.tolist()
    (['wipe_left', 'cut'], [1, -1], [3, -1], [4, 3])
    """
    if plan.marks is None:
        return Labels(*np.zeros((5, 0), np.int64))
    kind, shot = plan.marks.kind, plan.marks.shot
    before = np.pad(kind, ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
    after = np.pad(kind, ((0, 0), (0, 1)), constant_values=-1)[:, 1:]
    begins, ends = np.argwhere((kind >= 0) & (kind != before)), np.argwhere((kind >= 0) & (kind != after))
    pure = (kind[:, 1:] < 0) & (kind[:, :-1] < 0) & (shot[:, 1:] != shot[:, :-1])
    sudden = np.argwhere(pure)
    new = sudden[:, 1] + 1
    shown = [column[sudden[:, :1], new[:, None] - [1, 0]] for column in columns_of(plan)]
    clip, _ = with_columns(plan, shown).source()  # of the frames beside, and no others: areas of masks take long
    same = clip[:, 0] == clip[:, 1]
    none = np.full(len(sudden), -1)
    found = np.concatenate(
        [
            np.stack([begins[:, 0], kind[tuple(begins.T)], begins[:, 1], ends[:, 1], ends[:, 1] + 1], 1),
            np.stack([sudden[:, 0], np.where(same, JUMP, CUT), none, none, new], 1),
        ]
    )
    return Labels(*found[np.lexsort((found[:, 4], found[:, 0]))].T)
