"""What BSP's, PAL's and TSP's papers say of a batch, checked on its sources, frames and weights; nothing of pretrain.

A batch is given as arrays (N, T, K): video, place of the clip in it, frame in the clip and weight of every tap.
"""

from itertools import product
from types import SimpleNamespace

import numpy as np

TAU = 4  # half of the frames of a sample of BSP
GAMMAS = (0.25, 0.5, 2.0, 4.0)


def taps(batch, info):
    """The arrays of a batch's plan: video, position, frame, weight, each (N, T, K)."""
    plan = batch.plan
    frame = np.floor(plan.time + 0.5).astype(int)
    return SimpleNamespace(
        video=info["video"][plan.clip], position=info["position"][plan.clip], frame=frame, time=plan.time,
        weight=plan.weight.astype(np.float64),
    )  # fmt: skip


def row_of(batch_taps, n, t):
    """{video: (position, time, weight)} of what output frame t of sample n shows."""
    shown = {}
    for k in range(batch_taps.weight.shape[2]):
        if batch_taps.weight[n, t, k] > 0:
            key = int(batch_taps.video[n, t, k])
            assert key not in shown
            shown[key] = tuple(float(a[n, t, k]) for a in (batch_taps.position, batch_taps.time, batch_taps.weight))
    return shown


def bsp_sample(shown, kind, step, length, centers):
    """Does the sample, a list of `row_of`, follow the equation of its kind? The parameters that fit, as (name: value).

    Frames lie `step` apart in a video of `length` frames, from a start that is read off the first frame of each video.
    """
    fits = []
    first = next(iter(shown[0]))
    start1 = shown[0][first][1]
    if kind in ("ds", "ss"):
        options = [(t, g) for t, g in product(range(2, 7), GAMMAS)] if kind == "ds" else [(8, 1.0)]
        for t, gamma in options:
            index = [i if i <= t else t + gamma * (i - t) for i in range(1, 9)]  # Eq. 3
            wanted = [{first: start1 + step * (i - 1)} for i in index]
            if all(_equal(have, want, {first: 1.0}) for have, want in zip(shown, wanted)):
                fits.append({"boundary": t if kind == "ds" else -1, "videos": (first,)})
    else:
        (second,) = set(shown[-1]) if len(shown[-1]) == 1 else set(shown[-1]) - {first}
        for c, drawn in product(centers, (1, 2) if kind == "dc" else (0,)):
            e = min(drawn, c, 8 - c)
            last = 8 - c + e  # index of the second video's last frame
            start2 = shown[-1][second][1] - step * (last - 1)
            if not -1e-6 <= start2 <= length - 1 - step * (last - 1) + 1e-6:
                continue
            good = True
            for i in range(1, 9):
                one = {first: start1 + step * (i - 1)}
                two = {second: start2 + step * (i - c + e - 1)}
                if i <= c - e:  # Eq. 1 with τ = c; Eq. 2 is ε = 0
                    good &= _equal(shown[i - 1], one, {first: 1.0})
                elif i <= c + e:
                    w1, w2 = (c + e - i) / (2 * e), (i - c + e) / (2 * e)
                    good &= _equal(shown[i - 1], {**one, **two}, {first: w1, second: w2})
                else:
                    good &= _equal(shown[i - 1], two, {second: 1.0})
            if good:
                new = next(i for i in range(8) if max(shown[i], key=lambda v: (shown[i][v][2], v == first)) == second)
                fits.append({"boundary": new, "videos": (first, second)})
    assert all(0 <= value[1] <= length - 0.5 for row in shown for value in row.values())
    return fits


def _equal(have, times, weights):
    seen = {video for video, weight in weights.items() if weight > 0}
    return have.keys() == seen and all(
        abs(have[v][1] - times[v]) < 1e-6 and abs(have[v][2] - weights[v]) < 1e-6 for v in seen
    )


def heatmap(boundary, tau):
    return np.array([np.exp(-((t - boundary) ** 2) / (2 * tau)) if boundary >= 0 else 0.0 for t in range(8)])


def pal_pair(batch_taps, n, pairs, target, *, clips, frames, betas, paste, stride_max):
    """Row n of a batch of PAL, of 2 · pairs: what it shows and what its target says."""
    shown = [row_of(batch_taps, n, t) for t in range(clips * frames)]
    start, stop = int(target["start"][n]), int(target["stop"][n])
    action = int(target["video"][n, start])
    assert 1 <= stop - start <= clips - 2
    ground = int(target["video"][n, 0]) if paste != "none" else action
    if paste != "none":
        assert 1 <= start < stop <= clips - 1, "a clip of background on each side"
        assert ground != action
    begin = int(target["source"][n, start])
    times = {action: {}, ground: {}}
    for j, k in product(range(clips), range(frames)):
        inside, row = start <= j < stop, shown[j * frames + k]
        beta = float(target["opacity"][n])
        wanted = {ground: (j, 1.0)}
        if inside and paste != "none":
            wanted = {action: (begin + j - start, beta), ground: (j, 1 - beta)}
        for video, (position, weight) in wanted.items():
            if weight > 0:
                assert row[video][0] == position
                assert abs(row[video][2] - weight) < 1e-6
                times[video].setdefault(k, set()).add(row[video][1])
        assert row.keys() == {video for video, (_, weight) in wanted.items() if weight > 0}
        assert target["video"][n, j] == (action if inside else ground)
        if inside and paste != "none":
            assert betas[0] - 1e-6 <= beta <= betas[1] + 1e-6
    for each in times.values():
        assert all(len(values) == 1 for values in each.values()), "one stride and one offset for all clips of a video"
        steps = {round(min(each[k + 1]) - min(each[k]), 6) for k in range(frames - 1)} if each else {1}
        assert len(steps) == 1
        assert steps <= set(range(1, stride_max + 1))
    other = (n + pairs) % (2 * pairs)
    assert int(target["video"][other, int(target["start"][other])]) == action, "both show one action"
    far = int(target["video"][other, 0])
    assert (far != ground) if paste == "different" else (far == ground)
