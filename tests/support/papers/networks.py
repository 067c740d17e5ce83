"""The papers' networks, written from their descriptions as functions of named tensors; nothing of pretrain is used.

`P` maps names to tensors, float64; batch norm uses the batch's statistics. Legend: N samples, C channels, T frames, Y X
(rows and columns).
"""

import torch
import torch.nn.functional as F


def norm(x, P, name, eps):
    """Batch norm over all dimensions but the channels, by the batch's biased variance."""
    dims = [d for d in range(x.ndim) if d != 1]
    shape = [1, -1] + [1] * (x.ndim - 2)
    mean = x.mean(dims, keepdim=True)
    var = ((x - mean) ** 2).mean(dims, keepdim=True)
    return (x - mean) / torch.sqrt(var + eps) * P[f"{name}.weight"].view(shape) + P[f"{name}.bias"].view(shape)


# ---- TSM (Lin et al. 2019) on ResNets: 1/8 of the channels from the next frame, 1/8 from the one before, residual ----


def shift(x, frames):
    """Before the first convolution of every residual block."""
    n, c, height, width = x.shape
    x = x.view(n // frames, frames, c, height, width)
    eighth = c // 8
    nothing = torch.zeros_like(x[:, :1])
    later = torch.cat([x[:, 1:], nothing], 1)
    earlier = torch.cat([nothing, x[:, :-1]], 1)
    mixed = torch.cat([later[:, :, :eighth], earlier[:, :, eighth : 2 * eighth], x[:, :, 2 * eighth :]], 2)
    return mixed.view(n, c, height, width)


def tsm_resnet(P, clip_NCTYX, depth, prefix=""):
    """ResNet-18 or 50 with stride in the 3×3 convolution, average over frames."""
    n, c, frames, height, width = clip_NCTYX.shape
    x = clip_NCTYX.permute(0, 2, 1, 3, 4).reshape(n * frames, c, height, width)

    def bn(value, name):
        return norm(value, P, prefix + name, 1e-5)

    x = F.conv2d(x, P[prefix + "conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(F.relu(bn(x, "bn1")), 3, 2, 1)
    for stage, blocks in enumerate({18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[depth], 1):
        for block in range(blocks):
            at, stride = f"layer{stage}.{block}.", 2 if stage > 1 and block == 0 else 1

            def conv(value, name, **how):
                return F.conv2d(value, P[prefix + at + name + ".weight"], **how)  # noqa: B023

            y = shift(x, frames)
            if depth == 18:
                y = F.relu(bn(conv(y, "conv1", stride=stride, padding=1), at + "bn1"))
                y = bn(conv(y, "conv2", padding=1), at + "bn2")
            else:
                y = F.relu(bn(conv(y, "conv1"), at + "bn1"))
                y = F.relu(bn(conv(y, "conv2", stride=stride, padding=1), at + "bn2"))
                y = bn(conv(y, "conv3"), at + "bn3")
            if prefix + at + "downsample.0.weight" in P:
                x = bn(conv(x, "downsample.0", stride=stride), at + "downsample.1")
            x = F.relu(x + y)
    return x.mean((2, 3)).view(n, frames, -1).mean(1)


# ---- R(2+1)D and R3D (Tran et al. 2018) ------------------------------------------------------------------------------


def resnet_3d(P, x, kind, depth, prefix=""):
    """kind "r2plus1d": 1×3×3, batch norm, ReLU, 3×1×1; "r3d": 3×3×3."""
    eps = 1e-3 if (kind, depth) == ("r2plus1d", 34) else 1e-5  # Caffe2's

    def W(name):
        return P[f"{prefix}{name}.weight"]

    def bn(value, name):
        return norm(value, P, prefix + name, eps)

    def conv(value, name, stride):
        if kind == "r3d":
            return F.conv3d(value, W(f"{name}.0"), stride=stride, padding=1)
        value = F.conv3d(value, W(f"{name}.0.0"), stride=(1, stride, stride), padding=(0, 1, 1))
        value = F.relu(bn(value, f"{name}.0.1"))
        return F.conv3d(value, W(f"{name}.0.3"), stride=(stride, 1, 1), padding=(1, 0, 0))

    if kind == "r3d":
        x = F.relu(bn(F.conv3d(x, W("stem.0"), stride=(1, 2, 2), padding=(1, 3, 3)), "stem.1"))
    else:
        x = F.relu(bn(F.conv3d(x, W("stem.0"), stride=(1, 2, 2), padding=(0, 3, 3)), "stem.1"))
        x = F.relu(bn(F.conv3d(x, W("stem.3"), padding=(1, 0, 0)), "stem.4"))
    for stage, blocks in enumerate({18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}[depth], 1):
        for block in range(blocks):
            at, stride = f"layer{stage}.{block}.", 2 if stage > 1 and block == 0 else 1
            y = F.relu(bn(conv(x, at + "conv1", stride), at + "conv1.1"))
            y = bn(conv(y, at + "conv2", 1), at + "conv2.1")
            if f"{prefix}{at}downsample.0.weight" in P:
                x = bn(F.conv3d(x, W(at + "downsample.0"), stride=stride), at + "downsample.1")
            x = F.relu(x + y)
    return x.mean((2, 3, 4))


# ---- I3D (Carreira and Zisserman 2017): Inception-v1 with its kernels and pools inflated, SAME padding ----


def i3d(P, x, prefix=""):
    def around(value, kernel, stride):
        pads = []
        for size, k, s in zip(value.shape[2:], kernel, stride):
            out = -(-size // s)
            extra = max((out - 1) * s + k - size, 0)
            pads.append((extra // 2, extra - extra // 2))
        return F.pad(value, [side for pair in reversed(pads) for side in pair])

    def unit(value, name, stride=1):
        weight = P[f"{prefix}{name}.conv3d.weight"]
        value = F.conv3d(around(value, weight.shape[2:], (stride,) * 3), weight, stride=stride)
        return F.relu(norm(value, P, f"{prefix}{name}.bn", 1e-3))

    def pool(value, kernel, stride):
        return F.max_pool3d(around(value, kernel, stride), kernel, stride)

    x = pool(unit(x, "Conv3d_1a_7x7", 2), (1, 3, 3), (1, 2, 2))
    x = pool(unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3"), (1, 3, 3), (1, 2, 2))
    for group, before in (("3b 3c", None), ("4b 4c 4d 4e 4f", (3, 3, 3)), ("5b 5c", (2, 2, 2))):
        x = x if before is None else pool(x, before, (2, 2, 2))
        for name in group.split():
            at = f"Mixed_{name}."
            second = unit(unit(x, at + "b1a"), at + "b1b")
            third = unit(unit(x, at + "b2a"), at + "b2b")
            x = torch.cat([unit(x, at + "b0"), second, third, unit(pool(x, (3, 3, 3), (1, 1, 1)), at + "b3b")], 1)
    return x.mean((2, 3, 4))


# ---- optimisers ------------------------------------------------------------------------------------------------------


def sgd(value, gradient, rate, decay):
    """The first step of SGD with momentum: the buffer is the gradient."""
    return value - rate * (gradient + decay * value)


def adam(value, gradient, rate, decay, eps=1e-8):
    """The first step of Adam with weight decay in the gradient: both moments are corrected to the gradient's."""
    g = gradient + decay * value
    return value - rate * g / (g.abs() + eps)


def clipped(gradients, most):
    """Scaled so that their common norm is at most `most`."""
    total = torch.sqrt(sum((g**2).sum() for g in gradients.values()))
    return {name: g * min(1.0, float(most / (total + 1e-6))) for name, g in gradients.items()}
