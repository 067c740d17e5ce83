"""Localisation with scripted parts: what each is given, and what becomes of its answers, worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from pretrain.data.segments import Segments
from pretrain.localization import bmn, inputs, localizer
from pretrain.localization.settings import LocalizerSettings


def subset(*actions, rows=8):
    """Videos v0, v1 … of 8 s, features (8, 3), with these (start, end, label) each."""
    found, rng = inputs.Subset(), np.random.default_rng(0)
    for k, own in enumerate(actions):
        sequence = inputs.FeatureSequence.of(rng.normal(size=(rows, 3)).astype(np.float32), np.arange(rows) + 0.5)
        found.add(f"v{k}", sequence, float(rows), Segments.of([(f"v{k}", *each) for each in own]))
    return found


@pytest.fixture
def scripted(monkeypatch):
    """Nothing is learned; every video has two proposals. What `fit` and `_proposals` were given is kept."""
    given = SimpleNamespace(fit=None, proposals=[])

    def fit(model, count, examples, **options):
        given.fit = (model, count, examples, options)
        return 0.75

    def proposals(model, values, own, duration, keep, device):
        given.proposals.append((own[0].video, len(own), duration, keep, device))
        return np.array([[1.0, 2.5], [3.0, 5.0]]), np.array([0.5, 0.25]), np.zeros((2, 3))

    monkeypatch.setattr(localizer, "fit", fit)
    monkeypatch.setattr(localizer, "_proposals", proposals)
    return given


def rows(segments):
    columns = segments.video.tolist(), segments.segment.tolist(), segments.label.tolist(), segments.score.tolist()
    return list(zip(*columns))


SCORES = {"v0": {"a": 0.25, "b": 0.75, "c": 0.5}, "v1": {"d": 1.0}}


def test_proposals_take_the_best_classes_of_their_video(scripted):
    settings = LocalizerSettings(length=8, labels=2, keep=7, device="cpu")
    found = localizer.localize(subset([(1, 4, "x")]), subset([], []), settings, video_scores=SCORES)
    one, two = [1.0, 2.5], [3.0, 5.0]
    assert rows(found.predictions) == [
        ("v0", one, "b", 0.375), ("v0", one, "c", 0.25), ("v0", two, "b", 0.1875), ("v0", two, "c", 0.125),
        ("v1", one, "d", 0.5), ("v1", two, "d", 0.25),
    ]  # fmt: skip
    assert rows(found.proposals) == [(v, s, "", p) for v in ("v0", "v1") for s, p in ((one, 0.5), (two, 0.25))]
    assert found.loss == 0.75
    assert scripted.proposals == [("v0", 1, 8.0, 7, "cpu"), ("v1", 1, 8.0, 7, "cpu")]
    found = localizer.localize(subset([(1, 4, "x")]), subset([]), LocalizerSettings(length=8), video_scores=SCORES)
    assert found.predictions.label.tolist() == ["b", "b"], "one class, if nothing is said"
    with pytest.raises(ValueError, match=r"^video_scores must have every video of the test subset, has not 'v1'$"):
        localizer.localize(subset([(1, 4, "x")]), subset([], []), settings, video_scores={"v0": {"a": 1.0}})


def test_without_scores_the_probe_of_the_features_gives_the_class(scripted, monkeypatch):
    asked = []

    def probe(x_NF, y_N, classes, *, group_N):
        asked.append((x_NF.shape, y_N.tolist(), classes, group_N.tolist()))
        return SimpleNamespace(probability=lambda x_NF: np.tile([[0.2, 0.8]], (len(x_NF), 1)))

    monkeypatch.setattr(localizer, "LinearProbe", probe)
    train = subset([(1, 4, "run"), (4, 7, "dive")], [], [(2, 3, "run")])
    found = localizer.localize(train, subset([]), LocalizerSettings(length=8, labels=1))
    assert asked == [((3, 3), [1, 0, 1], 2, ["v0", "v0", "v2"])]
    assert rows(found.predictions) == [
        ("v0", [1.0, 2.5], "run", pytest.approx(0.4)), ("v0", [3.0, 5.0], "run", pytest.approx(0.2))
    ]  # fmt: skip


def test_the_network_is_made_as_the_settings_say(scripted):
    options = {"length": 8, "max_duration": 5, "samples": 3, "width": 6, "dropout": 0.5, "lr": 0.25, "batch": 2}
    before = torch.random.get_rng_state()
    settings = LocalizerSettings(**options, epochs=4, seed=9, device="cpu")
    localizer.localize(subset([(2, 6, "a")], []), subset([]), settings, video_scores=SCORES)
    model, count, examples, given = scripted.fit
    assert (count, given) == (2, {"epochs": 4, "batch": 2, "lr": 0.25, "seed": 9, "device": "cpu"})
    assert (model.map_shape, model.samples) == ((5, 8), 3)
    assert model.base[1].weight.shape == (24, 3, 3)
    assert model.confidence[2].weight.shape[:2] == (2, 6)
    assert [layer.p for layer in model.base if isinstance(layer, nn.Dropout1d)] == [0.5, 0.25]
    torch.testing.assert_close(torch.random.get_rng_state(), before)
    torch.manual_seed(9)
    same = bmn.BoundaryMatching(3, length=8, durations=5, samples=3, width=6)
    torch.testing.assert_close(model.base[1].weight, same.base[1].weight)
    values_NFT, maps = examples([1, 0])
    assert values_NFT.shape == (2, 3, 8)
    wanted = bmn.targets(np.array([[2.0, 6.0]]), 8, 5)
    for part, whole in zip(wanted, maps):
        assert not whole[0].any()
        torch.testing.assert_close(whole[1], part)
    both = values_NFT.permute(1, 0, 2).flatten(1)
    torch.testing.assert_close(both.mean(1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(both.std(1, unbiased=False), torch.ones(3), atol=1e-5, rtol=0)
    assert torch.equal(values_NFT[1].T, torch.from_numpy(examples([0])[0][0].T.numpy()))


def test_memory_is_told_in_mebibytes(scripted, monkeypatch):
    asked = []
    monkeypatch.setattr(
        localizer, "WindowValues", lambda windows, memory: asked.append(memory) or inputs.WindowValues(windows, memory)
    )
    settings = LocalizerSettings(length=8, epochs=1, memory=3)
    localizer.localize(subset([(1, 4, "x")]), subset([]), settings, video_scores=SCORES)
    assert asked == [3 * 1024 * 1024]


def test_only_windows_with_an_action_are_learned_from_but_all_are_localised(scripted):
    train, test = subset([(9, 11, "a")], [], rows=16), subset([], rows=16)
    settings = LocalizerSettings(mode="windows", length=8, epochs=1, keep=3)
    localizer.localize(train, test, settings, video_scores=SCORES)
    assert scripted.fit[1] == 2, "rows 4…11 and 8…15 show it, 0…7 do not"
    assert [each[:2] for each in scripted.proposals] == [("v0", 3)]
    localizer.localize(train, test, LocalizerSettings(length=8, epochs=1), video_scores=SCORES)
    assert scripted.fit[1] == 2, "of whole videos also those without"
    for actions, left in (([(17, 18, "a")], ", 1 outside the video"), ([(3, 3, "a")], "")):
        with pytest.raises(
            ValueError, match=f"^the training subset must have an action with a length, got none{left}$"
        ):
            localizer.localize(subset(actions, rows=16), test, settings)


# ---------------------------------------------------------------- proposals


class Spoken(nn.Module):
    """The features are the logits of starts and ends; every confidence is a half."""

    def forward(self, values_NFT):
        assert not self.training
        assert not torch.is_grad_enabled()
        n, _, length = values_NFT.shape
        return values_NFT, torch.zeros(n, 2, length, length)


def test_seconds_scores_and_limits_of_a_videos_proposals():
    """A start at edge 1 and ends at edges 3 and 4, each of probability ½: scores ½ · ½ · √(½ · ½)."""
    logits = np.full((4, 2), -20.0, np.float32)
    logits[1, 0] = logits[2, 1] = 0.0
    window = inputs.FeatureWindow("v", lambda: logits, origin_seconds=1.0, snippet_seconds=0.5, snippets=4)
    values = SimpleNamespace(mean_F=np.zeros(2), of=lambda window: window.values())
    found = localizer._proposals(Spoken(), values, [window], 2.25, 9, "cpu")
    assert [each.tolist() for each in found] == [[[1.5, 2.25]], [0.125], [[-10.0, -10.0]]]
    early = inputs.FeatureWindow("v", lambda: logits, origin_seconds=-1.0, snippet_seconds=0.5, snippets=4)
    assert localizer._proposals(Spoken(), values, [early], 9.0, 9, "cpu")[0].tolist() == [[0, 0.5]]
    later = inputs.FeatureWindow("v", lambda: logits, origin_seconds=4.0, snippet_seconds=0.5, snippets=4)
    seconds, score, _ = localizer._proposals(Spoken(), values, [window, later], 9.0, 1, "cpu")
    assert (seconds.tolist(), score.tolist()) == ([[1.5, 2.5]], [0.125]), "as many as are kept"


# ---------------------------------------------------------------- actionness


@pytest.fixture
def probes(monkeypatch):
    """What the linear probe is given."""
    given = []

    def probe(x_NF, y_N, classes, *, group_N):
        given.append((x_NF, y_N, classes, group_N))
        return SimpleNamespace(probability=lambda x_NF: np.stack([1 - x_NF[:, 0], x_NF[:, 0]], 1))

    monkeypatch.setattr(localizer, "LinearProbe", probe)
    return given


def of_seconds(**seconds):
    """Videos whose feature is its time in seconds, with an action from 1 s to 1.5 s."""
    found = inputs.Subset()
    for video, duration in seconds.items():
        center = np.arange(0.05, 4, 0.1)
        sequence = inputs.FeatureSequence.of(center[:, None].astype(np.float32), center)
        found.add(video, sequence, duration, Segments.of([(video, 1.0, 1.5, "a")]))
    return found


def test_actionness_is_of_segments_of_a_fifth_of_a_second(probes):
    train, test = of_seconds(a=2.0, b=0.6), of_seconds(c=1.0, d=0.1, e=0.7)
    found = localizer.actionness(train, test)
    (x, y, classes, group), *more = probes
    assert not more
    assert classes == 2
    assert x[:, 0] == pytest.approx([*np.arange(0.1, 2, 0.2), 0.1, 0.3, 0.5], abs=1e-6)
    assert y.tolist() == [False] * 5 + [True, True] + [False] * 6, "centres at 1.1 and 1.3; 1.5 is no longer inside"
    assert group.tolist() == ["a"] * 10 + ["b"] * 3
    assert {video: len(values) for video, values in found.items()} == {"c": 5, "d": 1, "e": 3}
    assert found["c"] == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9], abs=1e-6)


def test_many_segments_are_thinned_out_by_the_seed(probes, monkeypatch):
    """40 + 10 segments, of which about 25 are to be learned from."""
    monkeypatch.setattr(localizer, "STEP_SAMPLES", 25)
    train = of_seconds(a=8.0, b=2.0)
    for seed in (0, 3):
        localizer.actionness(train, train, seed=seed)
    for seed, (x, _, _, group) in zip((0, 3), probes):
        rng = np.random.default_rng(seed)
        counts = [int((rng.random(count) < 0.5).sum()) for count in (40, 10)]
        assert [np.sum(group == video) for video in "ab"] == counts
        assert len(x) == sum(counts)
    assert localizer.STEP_SECONDS == 0.2


def test_actionness_needs_an_action():
    with pytest.raises(ValueError, match=r"^the training subset must have an action, got none$"):
        localizer.actionness(subset([]), subset([]))


# ---------------------------------------------------------------- windows


def test_a_single_row_stands_for_twice_its_middle():
    one = inputs.FeatureSequence.of(np.float32([[1, 2]]), np.array([0.75]))
    assert one.step_seconds() == 1.5
    found = inputs.Subset()
    found.add("v", one, float("nan"), Segments.of([("v", -1, 1, "a"), ("v", 2, 3, "a")]))
    assert found.duration == {"v": 1.5}
    assert found.actions["v"].segment.tolist() == [[0, 1]]
    assert found.counts == {"clipped to the video": 1, "outside the video": 1}
    two = inputs.FeatureSequence.of(np.float32([[1], [2]]), np.array([1.0, 1.5]))
    found.add("w", two, 0.0, Segments.of([]))
    assert found.duration["w"] == 1.75, "the end of the last row"
    (window,) = inputs.sliding("w", two, 4)
    assert (window.origin_seconds, window.snippet_seconds, window.snippets) == (0.75, 0.5, 2)


def test_half_of_an_action_is_enough_to_be_seen():
    window = inputs.FeatureWindow("v", lambda: np.zeros((4, 1), np.float32), 0.0, 1.0, 4)
    actions = np.array([[3.0, 5.0], [2.9, 5.2], [3.0, 5.1], [-2.0, 2.0]])
    snippets, kept = inputs.visible(window, actions)
    assert (kept.tolist(), snippets.tolist()) == ([0, 3], [[3, 4], [0, 2]])
    assert inputs.visible(window, actions, 0.25)[1].tolist() == [0, 1, 2, 3]


def test_windows_that_just_fit_are_kept_in_memory_and_no_more():
    read = []

    def window(k):
        return inputs.FeatureWindow("v", lambda: read.append(k) or np.full((2, 3), k, np.float32), 0.0, 1.0, 2)

    values = inputs.WindowValues([window(k) for k in range(3)], 48)  # of 24 bytes each
    assert values.mean_F.tolist() == [1, 1, 1]
    read.clear()
    assert [values[k][0, 0] for k in range(3)] == pytest.approx([-(1.5**0.5), 0, 1.5**0.5])
    assert read == [2]
    flat = inputs.WindowValues([window(5)], 0)
    assert flat.std_F == pytest.approx([1e-6] * 3), "a feature that never changes is not divided by 0"


def test_whole_videos_and_sliding_windows():
    train = subset([], rows=6)
    (whole,) = inputs.cut(train, "rescale", 4)
    assert (whole.video, whole.origin_seconds, whole.snippet_seconds, whole.snippets) == ("v0", 0.0, 1.5, 4)
    found = inputs.cut(train, "windows", 4)
    assert [(each.origin_seconds, each.snippet_seconds, each.snippets) for each in found] == [(0, 1, 4), (2, 1, 4)]
    assert len(inputs.cut(train, "windows", 1)) == 6
