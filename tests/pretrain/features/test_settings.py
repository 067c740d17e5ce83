"""What `extract` is told: flags that belong together, the old name, several checkpoints, --config."""

import json

import pytest

from pretrain.common.cli import read
from pretrain.common.settings import saved
from pretrain.features.settings import ExtractSettings

USUAL = "--videos a b --out c --encoder tsm_resnet18 --init none"


def told(words):
    (settings,) = read(words.split(), {"all": ExtractSettings}, prog="extract", description=None)
    return settings


def test_rates_and_checkpoints():
    assert told(f"{USUAL} --fps native").fps == "native"
    assert told(f"{USUAL} --fps 12.5").fps == 12.5
    for words in ("--checkpoint x --checkpoint y", "--checkpoint x y"):
        assert told(f"--videos a --out b {words}").checkpoint == ("x", "y")


def test_the_old_name_of_frames(capsys):
    assert told(f"{USUAL} --clip 8") == told(f"{USUAL} --frames 8")
    assert "--clip is called --frames now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--videos a --out c", "either --checkpoint or --encoder must be given"),
        ("--videos a --out c --encoder e", "--encoder needs --init FILE, or --init none"),
        ("--out c --encoder e --init none", "--videos must be given"),
        ("--videos a --out c --checkpoint x --size 3", "--init and --size belong to --encoder"),
        (f"{USUAL} --pool max --rescale 9", "--pool and --rescale cannot be had together"),
        (f"{USUAL} --pool max --format csv", "--pool gives one vector per video"),
        ("--videos a --out c.h5 --encoder e --init none --format csv", "--format is for a folder"),
        (f"{USUAL} --fps 0", "--fps must be > 0, got 0.0"),
        (f"{USUAL} --fps fast", "argument --fps: invalid float or native value: 'fast'"),
        (f"{USUAL} --crops 2", "argument --crops: invalid choice: 2"),
        (f"{USUAL} --crop-share 1.5", "--crop-share must be in (0, 1], got 1.5"),
        (f"{USUAL} --stride 0", "--stride must be ≥ 1, got 0"),
    ],
)
def test_wrong_usage_is_one_line(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        told(words)
    error = capsys.readouterr().err
    assert error.startswith(f"extract: error: {message}")
    assert error.count("\n") == 1


def test_a_config_gives_the_settings_back(tmp_path):
    made = told("--videos a b --out c --checkpoint x --checkpoint y --fps native --crops 3 --short-side 40")
    file = tmp_path / "features.json"
    file.write_text(json.dumps({"fps": 3, "flags": saved(made)}))
    assert told(f"--config {file}") == made
    assert told(f"--config {file} --fps 5 --out d").fps == 5.0
    other = told(f"--config {file} --encoder tsm_resnet18 --init none --rescale 5")
    assert (other.encoder, other.checkpoint, other.rescale) == ("tsm_resnet18", None, 5)
    file.write_text(json.dumps({"flags": saved(other)}))
    back = told(f"--config {file} --checkpoint z --pool max")
    assert (back.checkpoint, back.encoder, back.init, back.pool, back.rescale) == (("z",), None, None, "max", None)
    file.write_text(json.dumps({"clip": 8, "videos": ["a"], "out": "c", "encoder": "e", "init": "none"}))
    assert told(f"--config {file}").frames == 8
