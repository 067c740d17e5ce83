"""Convolutions whose weights' gradient is another one on a CPU: equal to torch's, and used where it is faster."""

import copy
import pickle

import pytest
import torch
from torch import nn

from pretrain.models import convolution, encoders
from pretrain.models.convolution import QuickConv2d, QuickConv3d, quickened, weight_gradient
from pretrain.models.networks import ShiftConv2d

SHAPES = {  # channels in and out, kernel, stride, padding, input
    "one pixel": (6, 5, (3, 3), (1, 1), (1, 1), (1, 1)),
    "usual": (3, 4, (3, 3), (1, 1), (1, 1), (5, 6)),
    "stride": (3, 4, (3, 3), (2, 2), (1, 1), (5, 6)),
    "strides of their own": (3, 4, (3, 5), (3, 2), (1, 2), (7, 8)),
    "no padding": (3, 4, (2, 3), (1, 2), (0, 0), (4, 5)),
    "more padding than kernel": (2, 3, (3, 1), (1, 1), (4, 2), (3, 2)),
    "places that only see padding": (2, 3, (7, 7), (1, 1), (3, 3), (1, 2)),
    "jumps over the picture": (2, 3, (5, 5), (7, 7), (4, 4), (2, 3)),
    "one weight": (3, 4, (1, 1), (2, 2), (0, 0), (5, 4)),
    "three axes": (3, 4, (3, 3, 3), (1, 2, 1), (1, 1, 0), (3, 5, 4)),
    "time alone": (3, 4, (3, 1, 1), (2, 1, 1), (1, 0, 0), (4, 2, 3)),
}


@pytest.mark.parametrize("form", ["contiguous", "channels last", "every second"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_is_torch_s(shape, form):
    ins, outs, kernel, stride, padding, size = SHAPES[shape]
    generator = torch.Generator().manual_seed(0)
    input = torch.randn(3, ins, *size, generator=generator, dtype=torch.float64)
    weight = torch.randn(outs, ins, *kernel, generator=generator, dtype=torch.float64, requires_grad=True)
    made = (nn.functional.conv2d if len(size) == 2 else nn.functional.conv3d)(input, weight, None, stride, padding)
    output = torch.randn(made.shape, generator=generator, dtype=torch.float64)
    (expected,) = torch.autograd.grad(made, weight, output)
    if form == "channels last":
        last = torch.channels_last if len(size) == 2 else torch.channels_last_3d
        input, output = input.contiguous(memory_format=last), output.contiguous(memory_format=last)
    elif form == "every second":
        input = torch.stack([input, input.neg()], -1).flatten(-2)[..., ::2]
    torch.testing.assert_close(weight_gradient(output, input, weight.shape, stride, padding), expected)


@pytest.fixture
def everywhere(monkeypatch):
    monkeypatch.setattr(convolution, "LEAST", 0)


@pytest.fixture
def calls(monkeypatch):
    """Shapes of the weights whose gradient is ours."""
    found = []

    def counted(*args):
        found.append(tuple(args[2]))
        return weight_gradient(*args)

    monkeypatch.setattr(convolution, "weight_gradient", counted)
    return found


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("input_learns", [False, True])
@pytest.mark.parametrize("axes", [2, 3])
def test_every_gradient_of_a_module_is_torch_s(axes, input_learns, bias, everywhere, calls):
    torch.manual_seed(0)
    usual = (nn.Conv2d if axes == 2 else nn.Conv3d)(4, 6, 3, 2, 1, bias=bias).double()
    quick = quickened(copy.deepcopy(usual))
    found = []
    for module in (usual, quick):
        input = torch.arange(2 * 4 * 5**axes, dtype=torch.float64).sin().view(2, 4, *[5] * axes)
        input.requires_grad_(input_learns)
        output = module(input)
        output.square().sum().backward()
        found.append([output, input.grad, *(each.grad for each in module.parameters())])
    assert len(calls) == 1
    for a, b in zip(*found, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b)


def test_second_derivatives(everywhere, calls):
    quick = QuickConv2d(1, 2, 3, 2, 1).double()
    input = torch.randn(1, 1, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(quick, (input,))
    weight = quick.weight
    assert torch.autograd.gradgradcheck(lambda w: torch.func.functional_call(quick, {"weight": w}, (input,)), (weight,))
    assert calls


def test_it_serves_where_weights_outnumber_pixels_a_thousand_times(calls):
    assert convolution.LEAST == 1_000
    net = QuickConv2d(128, 128, 3, 1, 1)  # 147,456 weights
    for size, own in (((49, 3), 1), ((4, 37), 0), ((1, 1), 1), ((14, 14), 0)):  # 147, 148, 1 and 196 pixels
        calls.clear()
        net(torch.zeros(2, 128, *size)).sum().backward()
        assert len(calls) == own, size


@pytest.mark.parametrize(
    "change",
    [
        {"groups": 2},
        {"dilation": 2, "padding": 2},
        {"padding": "same"},
        {"padding_mode": "circular"},
    ],
    ids=str,
)
def test_other_convolutions_are_torch_s(change, everywhere, calls):
    torch.manual_seed(0)
    usual = nn.Conv2d(4, 6, 3, **({"padding": 1} | change))
    quick = quickened(copy.deepcopy(usual))
    input = torch.randn(2, 4, 5, 5)
    for module in (usual, quick):
        module(input).square().sum().backward()
    assert torch.equal(usual.weight.grad, quick.weight.grad)
    assert not calls


def test_no_gradient_no_other_way(everywhere, calls):
    quick, input = QuickConv2d(2, 3, 3), torch.randn(1, 2, 4, 4, requires_grad=True)
    with torch.no_grad():
        assert quick(input).grad_fn is None
    with torch.autocast("cpu", torch.bfloat16):
        output = quick(input)
    assert output.dtype == torch.bfloat16
    output.sum().backward()
    quick.requires_grad_(False)(input).sum().backward()
    assert not calls
    quick.requires_grad_(True)(input[0]).sum().backward()  # a sample without its axis
    assert not calls


def test_networks_are_quickened_and_stay_what_they_were(everywhere):
    torch.manual_seed(0)
    net = encoders.encoder("tsm_resnet18", frames=2, size=32)
    kinds = {type(module) for module in net.modules() if isinstance(module, nn.Conv2d)}
    assert kinds == {QuickConv2d, ShiftConv2d}
    assert issubclass(ShiftConv2d, QuickConv2d)
    for name in ("r3d_18", "s3d", "i3d"):
        made = encoders.encoder(name)
        assert all(isinstance(module, QuickConv3d) for module in made.modules() if isinstance(module, nn.Conv3d)), name
    again = pickle.loads(pickle.dumps(net))
    clip = torch.randn(1, 3, 2, 32, 32)
    net.eval(), again.eval()
    assert torch.equal(net(clip), again(clip))
    assert net.state_dict().keys() == again.state_dict().keys()


def test_a_convolution_of_one_s_own_keeps_its_forward():
    class Doubled(nn.Conv2d):
        def forward(self, input):
            return 2 * super().forward(input)

    class Shifted(nn.Conv2d):
        def _conv_forward(self, input, weight, bias):
            return super()._conv_forward(input + 1, weight, bias)

    convolutions = nn.Conv2d(1, 1, 1), nn.ConvTranspose2d(1, 1, 1), nn.Conv1d(1, 1, 1)
    net = quickened(nn.Sequential(Doubled(1, 1, 1), Shifted(1, 1, 1), *convolutions))
    assert [type(each) for each in net] == [Doubled, Shifted, QuickConv2d, nn.ConvTranspose2d, nn.Conv1d]


def test_a_step_of_an_encoder_is_torch_s_in_float64(monkeypatch, calls):
    found = []
    for least in (0, 10**12):
        monkeypatch.setattr(convolution, "LEAST", least)
        torch.manual_seed(0)
        net = encoders.encoder("tsm_resnet18", frames=2, size=32).double()
        generator = torch.Generator().manual_seed(1)
        net(torch.randn(2, 3, 2, 32, 32, generator=generator, dtype=torch.float64)).square().sum().backward()
        found.append({name: each.grad for name, each in net.named_parameters()})
        assert bool(calls) == (least == 0)
        calls.clear()
    for name, expected in found[1].items():
        torch.testing.assert_close(found[0][name], expected, msg=name)


def plainly_shifted(x, frames):
    """As the paper's authors write it: three copies into zeros."""
    x_NTCYX, fold = x.unflatten(0, (-1, frames)), x.shape[1] // 8
    out = torch.zeros_like(x_NTCYX)
    out[:, :-1, :fold] = x_NTCYX[:, 1:, :fold]
    out[:, 1:, fold : 2 * fold] = x_NTCYX[:, :-1, fold : 2 * fold]
    out[:, :, 2 * fold :] = x_NTCYX[:, :, 2 * fold :]
    return out.flatten(0, 1)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("frames", "channels"), [(1, 8), (2, 16), (3, 19), (4, 7)])
def test_the_shift_and_its_gradient(frames, channels, last):
    torch.manual_seed(0)
    conv = ShiftConv2d(channels, 5, 3, padding=1, bias=False).double()
    conv.frames = frames
    start = torch.randn(2 * frames, channels, 3, 2, dtype=torch.float64)
    if last:
        start = start.contiguous(memory_format=torch.channels_last)
    found = []
    for shift in (conv, lambda x: nn.functional.conv2d(plainly_shifted(x, frames), conv.weight, None, 1, 1)):
        x = start.clone().requires_grad_()
        output = shift(x)
        found.append([output, *torch.autograd.grad(output.sin().sum(), [x, conv.weight])])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def shifting():
    torch.manual_seed(0)
    conv = ShiftConv2d(8, 2, 1, bias=False).double()
    conv.frames = 2
    return conv, torch.randn(2, 8, 1, 1, dtype=torch.float64, requires_grad=True)


def test_the_shift_s_second_derivatives():
    conv, x = shifting()
    assert torch.autograd.gradgradcheck(conv, (x,))


@pytest.mark.slow
def test_the_shift_is_one_graph():
    conv, x = shifting()
    compiled = torch.compile(conv, fullgraph=True, backend="aot_eager")
    found = [(f(x), *torch.autograd.grad(f(x).sum(), [x, conv.weight])) for f in (conv, compiled)]
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)
