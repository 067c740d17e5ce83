"""Inception I3D: its operations, its entries' names, any size."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from pretrain.models.encoders import encoder
from pretrain.models.inception import FEATURES


def test_operations_are_those_that_identify_pals_encoder():
    """UP-TAL states 28.6 billion for 8 clips of 8 × 112², 3.6 for one; an inflated ResNet-50 has twice that."""
    net = encoder("i3d", frames=8, size=112).eval()
    with FlopCounterMode(display=False) as counter, torch.device("meta"), torch.no_grad():
        shape = net.to("meta")(torch.zeros(1, 3, 8, 112, 112)).shape
    assert tuple(shape) == (1, FEATURES)
    assert 3.4e9 < counter.get_total_flops() / 2 < 3.65e9
    assert sum(parameter.numel() for parameter in net.parameters()) == 12_287_264


def test_weights_of_the_usual_port_load_by_name(tmp_path):
    """With its classifier, which is left out, and nothing missing."""
    net = encoder("i3d")
    state = net.net.state_dict()
    assert {"Conv3d_1a_7x7.conv3d.weight", "Mixed_3b.b1a.bn.running_mean", "Mixed_5c.b3b.conv3d.weight"} <= set(state)
    torch.save({**state, "logits.conv3d.weight": torch.zeros(400, 1024, 1, 1, 1)}, tmp_path / "rgb.pt")
    loaded = encoder("i3d", init=tmp_path / "rgb.pt").loaded
    assert (loaded.missing, list(loaded.skipped)) == ([], ["logits.conv3d.weight"])


def test_any_size():
    with torch.no_grad():
        assert encoder("i3d").eval()(torch.zeros(1, 3, 3, 17, 23)).shape == (1, FEATURES)
