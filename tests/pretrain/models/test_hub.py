"""Folders of weights: what is saved is loaded, by this project and by Hugging Face's tools; what is broken is named."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from pretrain.features.extractor import trained
from pretrain.models import checkpoint, hub
from pretrain.models.encoders import Encoder, encoder
from pretrain.shots.boundaries import FAMILIES
from pretrain.shots.detect import Detector
from pretrain.shots.network import FEATURES, Outputs, ShotNetwork

SCORE = {"value": 0.875, "low": 0.81, "high": 0.92, "constant": 0.5, "samples": 64, "classes": {}, "confusion": [[1]]}


def run(folder, task="bsp", **model):
    """A run folder with one checkpoint."""
    config = {"task": task, "fps": 12.0, "extract_fps": 6.0, "commit": "abc", "deviations": ["--batch 8, not 128 [C]"]}
    config |= {"encoder": {"name": "tsm_resnet18", "frames": 4, "size": 32}, "flags": {"fit": "stretch"}}
    last = {"step": 7, "loss": 0.3, "boundary": SCORE}
    checkpoint.save(folder, {"model": model, "config": config, "step": 7, "last": last}, best=True)
    return folder


def entries(prefix, net):
    return {f"{prefix}{key}": value for key, value in net.state_dict().items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An encoder, and a folder with its run and its weights."""
    net, folder = encoder("tsm_resnet18", frames=4, size=32).eval(), tmp_path_factory.mktemp("made")
    checkpoint.export(run(folder / "run", **entries("encoder.", net)), folder / "weights")
    return net, folder


@pytest.fixture
def exported(made, tmp_path):
    """The encoder, and its folder of weights, beside the run; a copy for this test alone."""
    shutil.copytree(made[1], tmp_path, dirs_exist_ok=True)
    return made[0], tmp_path / "weights"


def test_an_encoder_comes_back_and_says_where_it_comes_from(exported):
    net, folder = exported
    again = Encoder.from_pretrained(folder)
    clip = torch.randn(2, 3, 4, 32, 32)
    assert torch.equal(again(clip), net(clip))
    assert not again.training
    assert (again.name, again.frames, again.size, again.mean) == (net.name, 4, 32, net.mean)
    assert again.about["numbers"] == {"boundary": {k: SCORE[k] for k in SCORE if k not in ("classes", "confusion")}}
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_the_model_card_has_the_numbers_and_is_read_by_the_hub(exported):
    card = ModelCard.load(exported[1] / "README.md")
    assert card.data.library_name == "gpuaug"
    assert "| boundary | 0.875 | 0.810 – 0.920 | 0.500 |" in card.text
    assert "--batch 8, not 128 [C]" in card.text
    assert "After 7 steps" in card.text


def test_every_reader_of_checkpoints_takes_the_folder(exported):
    net, folder = exported
    loaded, about, usual = trained(folder)
    clip = torch.randn(1, 3, 4, 32, 32)
    assert torch.equal(loaded(clip), net(clip))
    assert usual == {"fps": 6.0, "fit": "stretch"}
    assert about["task"] == "bsp"
    assert about["file"] == str(folder / "model.safetensors")
    assert torch.equal(checkpoint.load_encoder(folder)(clip), net(clip))
    started = encoder("tsm_resnet18", init=folder, frames=4, size=32)
    assert started.loaded is not None
    assert (started.loaded.missing, started.loaded.skipped) == ([], {})


def test_a_run_folder_is_a_place_of_initial_weights(exported):
    started = encoder("tsm_resnet18", init=exported[1].parent / "run", frames=4, size=32)
    assert started.loaded is not None
    assert started.loaded.missing == []


def test_a_second_export_replaces_the_first_with_its_card(exported, tmp_path):
    net, folder = deepcopy(exported[0]), exported[1]
    (folder / "README.md").write_text("stale")
    with torch.no_grad():
        next(net.parameters()).fill_(0.5)
    checkpoint.export(run(tmp_path / "run", **entries("encoder.", net)), folder)
    assert "stale" not in (folder / "README.md").read_text()
    assert (next(Encoder.from_pretrained(folder).parameters()) == 0.5).all()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_user_can_save_and_keep_a_card_of_their_own(tmp_path):
    net = encoder("r2plus1d_18", frames=4, size=32)
    (tmp_path / "README.md").write_text("mine")
    net.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"
    assert Encoder.from_pretrained(str(tmp_path)).about == {}


@pytest.mark.slow
def test_the_shapes_of_r2plus1d_34_come_from_the_weights(tmp_path):
    net = encoder("r2plus1d_34", frames=4, size=32)
    middle = net.get_submodule("net.layer2.0.conv2.0.0")
    tv = dict(net.state_dict())
    planes = {"net.layer2": 128, "net.layer3": 256, "net.layer4": 512}
    for stage, count in planes.items():  # as converted from Caffe2: other middle planes in the first block
        for key in [k for k in tv if k.startswith(f"{stage}.0.conv2.0.")]:
            shape = [count * 9 // 4 if n == middle_planes(net, stage) else n for n in tv[key].shape]
            tv[key] = torch.rand(shape) if shape else tv[key]
    assert middle.weight.shape[0] != 288
    torch.save({key.removeprefix("net."): value for key, value in tv.items()}, tmp_path / "caffe2.pth")
    caffe2 = encoder("r2plus1d_34", init=tmp_path / "caffe2.pth", frames=4, size=32)
    caffe2.save_pretrained(tmp_path / "folder")
    again = Encoder.from_pretrained(tmp_path / "folder")
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in caffe2.state_dict().items())
    assert again.get_submodule("net.layer2.0.conv2.0.0").weight.shape[0] == 288


def middle_planes(net, stage):
    return net.get_submodule(f"{stage}.0.conv2.0.0").weight.shape[0]


@pytest.mark.slow
def test_a_transformer_needs_no_folder_of_its_own(tmp_path):
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.VideoMAEConfig(image_size=32, num_frames=4, **sizes).save_pretrained(tmp_path / "theirs")
    net = encoder(f"hf:{tmp_path / 'theirs'}").eval()
    net.save_pretrained(tmp_path / "ours")
    (tmp_path / "theirs" / "config.json").unlink()
    again = Encoder.from_pretrained(tmp_path / "ours")
    clip = torch.randn(1, 3, 4, 32, 32)
    assert again.name == "hf:videomae"
    assert torch.equal(again(clip), net(clip))


def test_the_shot_detector_comes_back_by_the_mixin_and_by_the_detector(tmp_path):
    network, outputs = ShotNetwork(), Outputs(FEATURES, FAMILIES)
    folder = run(tmp_path / "run", "shots", **entries("encoder.net.", network), **entries("head.outputs.", outputs))
    checkpoint.export(folder, tmp_path / "weights")
    again = hub.ShotModel.from_pretrained(tmp_path / "weights")
    assert again.outputs.families == tuple(FAMILIES)
    frames = torch.randint(0, 256, (20, 36, 36, 3), dtype=torch.uint8).numpy()
    (mark, family), (mark_run, family_run) = (Detector(path).look(frames) for path in (tmp_path / "weights", folder))
    assert (mark == mark_run).all()
    assert (family == family_run).all()
    assert "Shot detector" in (tmp_path / "weights" / "README.md").read_text()
    with pytest.raises(ValueError, match=r"must be of an encoder, .*weights has a shots"):
        Encoder.from_pretrained(tmp_path / "weights")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no tensors"), "cannot be read"),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "bert"}'),
            "must be a folder of save_pretr",
        ),
        (lambda folder: changed(folder, format=99), r"newer version \(format 99"),
        (lambda folder: changed(folder, frames=None, name="tsm_resnet50"), "cannot be read"),
    ],
)
def test_what_is_broken_is_named_in_one_line(exported, spoil, message):
    spoil(exported[1])
    with pytest.raises(ValueError, match=message) as error:
        checkpoint.load_encoder(exported[1])
    assert "\n" not in str(error.value)


def changed(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def test_safetensors_hold_what_torch_holds(exported):
    net, folder = exported
    stored, own = load_file(folder / "model.safetensors"), net.state_dict()
    assert stored.keys() == own.keys()
    assert all(torch.equal(stored[key], own[key]) for key in own)


def test_a_model_card_by_hand():
    about = {"task": "bsp", "step": 12, "fps": 7.5, "recipe": "bsp-r18", "classes": ["run", "sit"], "precision": ""}
    about |= {"versions": {"torch": "2", "numpy": "1"}, "numbers": {"kind": {"value": 0.5, "low": 0.25}, "x": 3}}
    described = {"kind": "encoder", "name": "i3d", "frames": 8, "size": 64}
    described |= {"features": 512, "mean": [0.5], "std": [1.0]}
    text = hub.card(described, about)
    assert text.startswith(
        "---\nlibrary_name: gpuaug\ntags:\n- video\n- temporal-action-localization\n---\n\n"
        "# i3d, pre-trained with bsp by gpuaug\n\nAfter 12 steps, on held-out videos:\n"
    )
    lines = text.splitlines()
    assert "| kind | 0.500 | 0.250 – – | – |" in lines
    assert not any(line.startswith("| x ") for line in lines)
    assert [line for line in lines if line.startswith("- ")][2:] == [
        "- recipe: bsp-r18", "- classes: run, sit", "- frames: 8", "- size: 64", "- features: 512", "- mean: 0.5",
        "- std: 1.0", "- frames per second: 7.5", "- versions: torch 2, numpy 1",
    ]  # fmt: skip
    assert "# clips (N, 3, 8, 64, 64), (pixels / 255 − mean) / std, to (N, 512)" in lines
    assert "    gpuaug extract --checkpoint FOLDER --videos videos --out features" in lines
    bare = hub.card({"kind": "shots", "families": ["cut"], "thresholds": {}}, {}).splitlines()
    assert "# Shot detector, weights by gpuaug" in bare
    assert "- shot-boundary-detection" in bare
    assert "Nothing was held out, so that nothing is known of what it learned." in bare
    assert "    gpuaug shots film.mp4 --weights FOLDER --out shots" in bare
