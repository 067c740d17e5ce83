"""Convolutions with many weights over few pixels: their weights' gradient, where a CPU trains them.

oneDNN adds up the gradient of the weights picture by picture, through memory: a 3 × 3 convolution of 512 channels on
maps of one pixel writes nine megabytes for each picture. A product of matrices for each of the kernel's places reads
every picture once, and leaves out what falls on the padding. Values are the same but for the order of their sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import torch
from torch import nn
from torch.nn import functional

LEAST = 1_000  # weights for each pixel of the output, from where it is faster: measured on an AVX2 processor


class QuickConv2d(nn.Conv2d):
    """The same convolution: another weight gradient on a CPU, where that is faster."""

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if _is_slow(self, input):
            return _Convolution.apply(input, weight, bias, self.stride, self.padding)
        return super()._conv_forward(input, weight, bias)


class QuickConv3d(nn.Conv3d):
    """The same convolution: another weight gradient on a CPU, where that is faster."""

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if _is_slow(self, input):
            return _Convolution.apply(input, weight, bias, self.stride, self.padding)
        return super()._conv_forward(input, weight, bias)


def quickened(net: nn.Module) -> nn.Module:
    """The same network, its convolutions being those above; names and values of its parameters stay.

    >>> type(quickened(nn.Sequential(nn.Conv2d(3, 8, 3)))[0]).__name__
    'QuickConv2d'
    """
    for module in net.modules():
        for usual, quick in ((nn.Conv2d, QuickConv2d), (nn.Conv3d, QuickConv3d)):
            kind: Any = type(module)
            same = (kind.forward, getattr(kind, "_conv_forward", None)) == (usual.forward, usual._conv_forward)
            if same and isinstance(module, usual):
                module.__class__ = quick
    return net


def _is_slow(module: nn.Conv2d | nn.Conv3d, input: torch.Tensor) -> bool:
    weight = module.weight
    if not (weight.requires_grad and torch.is_grad_enabled() and input.is_cpu and input.dtype == weight.dtype):
        return False
    if torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling() or isinstance(module.padding, str):
        return False
    plain = module.groups == 1 and set(module.dilation) == {1} and module.padding_mode == "zeros"
    if not plain or input.dim() != weight.dim():
        return False
    sizes = zip(input.shape[2:], module.kernel_size, module.stride, module.padding)
    return weight.numel() >= LEAST * prod((n + 2 * p - k) // s + 1 for n, k, s, p in sizes)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> torch.Tensor:
        input, weight, bias, stride, padding = inputs
        ctx.save_for_backward(input, weight)
        ctx.stride, ctx.padding = stride, padding
        convolve = functional.conv2d if input.dim() == 4 else functional.conv3d
        return convolve(input, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (output,), (input, weight) = gradients, ctx.saved_tensors
        of_input, of_weight, of_bias, *_ = ctx.needs_input_grad
        n = weight.dim() - 2
        found = torch.ops.aten.convolution_backward(
            *(output, input, weight, [len(weight)] if of_bias else None, ctx.stride, ctx.padding),
            *([1] * n, False, [0] * n, 1, [of_input, False, of_bias]),
        )
        own = weight_gradient(output, input, weight.shape, ctx.stride, ctx.padding) if of_weight else None
        return found[0], own, found[2], None, None


def weight_gradient(
    output: torch.Tensor, input: torch.Tensor, shape: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> torch.Tensor:
    """The gradient of a convolution's weights, of `shape` (O, I, kernel…), from that of its output (N, O, …).

    Each place of the kernel is a product of matrices: of the input's pixels that it meets, none of them padding, and of
    the output's pixels that it writes to.

    >>> gradient = weight_gradient(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2), (1, 1, 3, 3), (1, 1), (1, 1))
    >>> gradient.squeeze().tolist()
    [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    outs, ins, *kernel = shape
    output, input = output.movedim(1, -1), input.movedim(1, -1)
    found = input.new_zeros(*kernel, outs, ins)
    for place in product(*(range(k) for k in kernel)):
        read: list[slice] = [slice(None)]
        written: list[slice] = [slice(None)]
        for k, s, p, n, m in zip(place, stride, padding, input.shape[1:-1], output.shape[1:-1]):
            first = max(0, -((k - p) // s))
            count = max(0, min(m, (n - 1 - k + p) // s + 1) - first)
            read.append(slice(first * s + k - p, first * s + k - p + count * s, s))
            written.append(slice(first, first + count))
        of_place = output[tuple(written)].reshape(-1, outs).T @ input[tuple(read)].reshape(-1, ins)
        found[place] = of_place
    return found.movedim((-2, -1), (0, 1))
