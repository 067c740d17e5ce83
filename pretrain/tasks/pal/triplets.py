"""Which videos of the bank meet in a pair of PAL's composites: whole groups of windows, three videos per pair.

Used by PAL's `sample`; imports gpuaug.
Legend: S slots of the bank, G groups of slots, J windows of a group, P pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import gpuaug


def whole_groups(bank: gpuaug.ClipBank) -> NDArray[np.int64]:
    """int64 (G, J): the slots of every group all of whose windows may be shown, in order of time.

    Errors: gpuaug.Starved if the bank has no window that may be shown.
    """
    slot_S = bank.slots()
    if len(slot_S) == 0:
        raise gpuaug.Starved("the bank has no window that may be shown")
    windows = int(bank.info["position"][bank.info["ready"]].max()) + 1
    group_S, position_S = bank.info["group"][slot_S], bank.info["position"][slot_S]
    order = np.lexsort((position_S, group_S))
    _, which, count = np.unique(group_S[order], return_inverse=True, return_counts=True)
    return slot_S[order][count[which] == windows].reshape(-1, windows)


def draw_triples(
    rng: np.random.Generator, bank: gpuaug.ClipBank, slot_GJ: NDArray[np.int64], pairs: int
) -> NDArray[np.int64]:
    """int64 (3, P) rows of `slot_GJ`: the action, the query's background and the key's, three videos in each column.

    Groups are drawn as evenly as the reuse limits allow. Each counts as shown twice, as the action is, and its most
    used window stands for it.

    Errors: gpuaug.Starved if the limits leave too few groups, or one video fills more than a third of them.
    """
    most_used = slot_GJ[np.arange(len(slot_GJ)), bank.info["uses"][slot_GJ].argmax(1)]
    row_S = np.full(len(bank.info), -1)
    row_S[most_used] = np.arange(len(slot_GJ))
    drawn = row_S[bank.draw(rng, 3 * pairs, among=row_S >= 0, uses=2)]
    _, video = np.unique(bank.info["video"][slot_GJ[drawn, 0]], return_inverse=True)
    videos = int(video.max()) + 1
    by_video = np.argsort(video, kind="stable")
    turn = np.empty(len(video), np.int64)  # 0 for the first draw of a video, 1 for its second, …
    turn[by_video] = np.arange(len(video)) - np.searchsorted(video[by_video], video[by_video])
    kept = np.flatnonzero(turn < pairs)[: 3 * pairs]
    if len(kept) < 3 * pairs:
        raise gpuaug.Starved(f"{pairs} pairs of three videos each are wanted, {videos} videos make fewer")
    # Sorted by video, in a random order of videos, each fills one run of at most P places: it is in one third, or in
    # two neighbouring ones, which must then not be paired with each other
    runs = kept[np.argsort(rng.permutation(videos)[video[kept]], kind="stable")]
    first, second, third = runs.reshape(3, pairs)
    second = rng.permutation(second)
    columns = [_shuffled_away(rng, first, second, video), second, _shuffled_away(rng, third, second, video)]
    return drawn[rng.permuted(np.stack(columns), axis=0)]


def draw_backgrounds(
    rng: np.random.Generator, bank: gpuaug.ClipBank, slot_GJ: NDArray[np.int64], action_P: NDArray[np.int64]
) -> NDArray[np.int64]:
    """int64 (3, P) rows of `slot_GJ`: the given actions, and backgrounds for query and key, uniform among other videos.

    Errors: gpuaug.Starved if the groups are of fewer than three videos.
    """
    video_G = bank.info["video"][slot_GJ[:, 0]]
    if len(np.unique(video_G)) < 3:
        raise gpuaug.Starved(f"pairs of three videos each are wanted, {len(np.unique(video_G))} videos are there")
    group_3P = np.stack([action_P] * 3)
    todo = np.arange(len(action_P))
    while len(todo):
        group_3P[1:, todo] = rng.integers(len(slot_GJ), size=(2, len(todo)))
        action, query, key = video_G[group_3P[:, todo]]
        todo = todo[(action == query) | (action == key) | (query == key)]
    return group_3P


def _shuffled_away(
    rng: np.random.Generator, row: NDArray[np.int64], other: NDArray[np.int64], video: NDArray[np.int64]
) -> NDArray[np.int64]:
    """`row` in random order, with the one video that `other` has too at places where `other` has none of it."""
    both = np.intersect1d(video[row], video[other])
    entries = np.argsort(rng.random(len(row)) - np.isin(video[row], both))
    places = np.argsort(rng.random(len(row)) + np.isin(video[other], both))
    shuffled = np.empty_like(row)
    shuffled[places] = row[entries]
    return shuffled
