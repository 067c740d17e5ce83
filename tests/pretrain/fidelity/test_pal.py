"""PAL's recipes, a step each against the paper (support/papers)."""

import pytest
import torch
import torch.nn.functional as F

from pretrain.tasks.recipes import RECIPES
from support.papers import networks, samples
from support.papers.step import check_step, prepared

pytestmark = pytest.mark.slow


def pal_vectors(P, clip, clips, layers, prefix="", encoder_prefix="encoder.net."):
    """Clip encoder, MLP of two layers, temporal convolutions each with ReLU, unit length: (N, J, D)."""
    n, c, t = clip.shape[:3]
    each = clip.view(n, c, clips, t // clips, *clip.shape[3:]).permute(0, 2, 1, 3, 4, 5).flatten(0, 1)
    own = f"{encoder_prefix}Conv3d_1a_7x7.conv3d.weight" in P
    x = networks.i3d(P, each, encoder_prefix) if own else networks.tsm_resnet(P, each, 18, f"{encoder_prefix}net.")
    x = F.relu(networks.norm(x @ P[f"{prefix}mlp.0.weight"].T, P, f"{prefix}mlp.1", 1e-5))
    x = x @ P[f"{prefix}mlp.3.weight"].T + P[f"{prefix}mlp.3.bias"]
    x = x.view(n, clips, -1).transpose(1, 2)
    for layer in range(layers):
        at = f"{prefix}temporal.{2 * layer}"
        x = F.relu(F.conv1d(x, P[f"{at}.weight"], P[f"{at}.bias"], padding=1))
    x = x.transpose(1, 2)
    return x / x.norm(dim=2, keepdim=True).clamp_min(1e-12)


def pal_regions(vectors, start, stop, whole):
    means = []
    for vector, s, e in zip(vectors, start.tolist(), stop.tolist()):
        mean = (vector if whole else vector[s:e]).sum(0)
        means.append(mean / mean.norm().clamp_min(1e-12))
    return torch.stack(means)


@pytest.mark.parametrize("name", [name for name in RECIPES if RECIPES[name].task == "pal"])
def test_pal(name, toy, tmp_path):
    settings, _, _, batches, model, optimizer = prepared(name, toy, tmp_path)
    options, clips = settings.options, settings.feed.windows_per_segment
    for batch, info in batches:
        for n in range(2 * (pairs := settings.feed.batch)):
            samples.pal_pair(
                samples.taps(batch, info), n, pairs, batch.target, clips=clips, frames=8, betas=options.opacity,
                paste=options.paste, stride_max=options.stride_max,
            )  # fmt: skip
    (before, _), (batch, _) = batches
    layers, whole = options.temporal_layers, options.contrast == "video"
    slow = {n: p.detach().clone() for n, p in model.named_parameters()}  # the copy, before its first step

    def regions(P, one, rows):
        vectors = pal_vectors(P, one.clips[rows].double(), clips, layers, "head.embed.")
        return pal_regions(vectors, one.target["start"][rows], one.target["stop"][rows], whole)

    model(before.clips.double(), before.target)  # fills the queue
    with torch.no_grad():
        queued = regions(slow, before, slice(pairs, 2 * pairs)).float().double()  # which keeps float32

    def loss_of(P):
        """InfoNCE at temperature 0.07 against the keys of other composites in the queue."""
        with torch.no_grad():
            key = regions(slow, batch, slice(pairs, 2 * pairs))
        query = regions(P, batch, slice(0, pairs))
        scores = torch.cat([(query * key).sum(1, keepdim=True), query @ queued.T], 1) / 0.07
        return (torch.logsumexp(scores, 1) - scores[:, 0]).mean()

    def update(P, gradients):
        return {n: networks.adam(P[n], g, 1e-4, 1e-5) for n, g in gradients.items()}

    check_step(model, optimizer, batch, loss_of, update)
    wanted = {n: 0.999 * slow[n] + 0.001 * slow[n] for n in slow}  # nothing had moved yet
    nets = model.head._slow._nets
    for n, value in (*nets[0].named_parameters(prefix="encoder"), *nets[1].named_parameters(prefix="head.embed")):
        assert torch.allclose(value, wanted[n], rtol=1e-12)
