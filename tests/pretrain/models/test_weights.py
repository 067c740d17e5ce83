"""Files of weights against a network of a few numbers: names, inflation, what is skipped and missing, where it lies."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pretrain.models.weights import Loaded, load_weights, read_state


class Small(nn.Module):
    """net.conv: 3-D, kernel 4 over time; net.last: linear."""

    def __init__(self):
        super().__init__()
        self.net = nn.ModuleDict({"conv": nn.Conv3d(1, 2, (4, 1, 1), bias=False), "last": nn.Linear(2, 1)})


CONV, LAST, BIAS = torch.full((2, 1, 1, 1), 8.0), torch.tensor([[3.0, 4.0]]), torch.tensor([5.0])


@pytest.mark.parametrize("prefix", ["", "module.", "module.base_model.", "features.", "encoder.net.", "net."])
@pytest.mark.parametrize("around", [None, "state_dict", "model_state_dict", "model", "encoder"])
def test_names_are_found_behind_whatever_is_before_them(prefix, around, tmp_path):
    state = {f"{prefix}conv.weight": CONV, f"{prefix}last.weight": LAST, f"{prefix}last.bias": BIAS}
    torch.save({"epoch": 3, around: state} if around else state, tmp_path / "w.pt")
    net = Small()
    assert load_weights(net, tmp_path / "w.pt") == Loaded(str(tmp_path / "w.pt"), 3, 1, {}, [])
    assert net.net["conv"].weight.shape == (2, 1, 4, 1, 1)
    assert (net.net["conv"].weight == 2).all(), "8, over four frames"
    assert (net.net["last"].weight.tolist(), net.net["last"].bias.tolist()) == ([[3, 4]], [5])


def test_what_does_not_fit_is_told_and_the_rest_stays(tmp_path):
    state = {"module.conv.weight": torch.zeros(2, 1, 3, 1, 1), "module.last.weight": LAST, "module.fc.bias": BIAS,
             "last.bias": BIAS, "number": 7}  # fmt: skip
    torch.save(state, tmp_path / "w.pt")
    net = Small()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = load_weights(net, tmp_path / "w.pt")
    assert found.skipped == {
        "module.conv.weight": "shape (2, 1, 3, 1, 1), the encoder has (2, 1, 4, 1, 1)",
        "module.fc.bias": "not in the encoder",
        "last.bias": "not in the encoder",
    }
    assert (found.matched, found.inflated, found.missing) == (1, 0, ["net.conv.weight", "net.last.bias"])
    assert found.lines() == [
        f"{tmp_path / 'w.pt'}: 1 loaded, 3 skipped, 2 missing",
        "  skipped module.conv.weight: shape (2, 1, 3, 1, 1), the encoder has (2, 1, 4, 1, 1)",
        "  skipped module.fc.bias: not in the encoder", "  skipped last.bias: not in the encoder",
        "  missing net.conv.weight: left random", "  missing net.last.bias: left random",
    ]  # fmt: skip
    after = net.state_dict()
    assert torch.equal(after["net.last.weight"], LAST)
    assert all(torch.equal(before[name], after[name]) for name in found.missing)
    assert Loaded("w", 5, 2, {}, []).lines() == ["w: 5 loaded (2 inflated from 2-D), 0 skipped, 0 missing"]


@pytest.mark.parametrize("shape", [(2, 1, 2, 1), (1, 1, 1, 1), (2, 2, 1, 1)])
def test_kernels_of_other_pictures_are_not_inflated(shape, tmp_path):
    torch.save({"conv.weight": torch.zeros(shape), "last.bias": BIAS}, tmp_path / "w.pt")
    found = load_weights(Small(), tmp_path / "w.pt")
    assert (list(found.skipped), found.inflated) == (["conv.weight"], 0)


def test_shifted_convolutions_lose_their_inner_name(tmp_path):
    net = nn.Sequential()
    net.add_module("block", nn.ModuleDict({"conv1": nn.Linear(1, 1, bias=False)}))
    torch.save({"block.conv1.net.weight": torch.tensor([[9.0]])}, tmp_path / "w.pt")
    assert load_weights(net, tmp_path / "w.pt").matched == 1
    assert net.block["conv1"].weight.item() == 9


def test_a_folder_stands_for_its_weights_then_its_best_then_its_newest(tmp_path):
    with pytest.raises(ValueError, match=r"has none of model\.safetensors, best\.pt, checkpoint\.pt$"):
        read_state(tmp_path)
    for level, name in enumerate(("checkpoint.pt", "best.pt", "model.safetensors")):
        state = {"x": torch.tensor([float(level)])}
        save_file(state, tmp_path / name) if name.endswith("safetensors") else torch.save(state, tmp_path / name)
        assert read_state(tmp_path)["x"].item() == level
    assert read_state(tmp_path / "best.pt")["x"].item() == 1


def test_the_first_of_the_usual_places_is_taken(tmp_path):
    torch.save({"model": {"x": BIAS}, "state_dict": {"y": LAST}, "z": CONV}, tmp_path / "w.pt")
    assert list(read_state(tmp_path / "w.pt")) == ["y"]
    torch.save({"state_dict": BIAS, "z": CONV, "epoch": 4}, tmp_path / "w.pt")
    assert list(read_state(tmp_path / "w.pt")) == ["state_dict", "z"]
    with pytest.raises(ValueError, match="there is no"):
        read_state(tmp_path / "absent.pt")
