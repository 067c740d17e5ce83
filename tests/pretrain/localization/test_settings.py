"""What `localize` is told: ranges, and --config with what was written beside the predictions."""

import json

import pytest

from pretrain.commands import localize
from pretrain.localization.settings import LocalizerSettings
from support.planted import plant


def test_lengths_follow_from_the_mode():
    assert (LocalizerSettings().snippets, LocalizerSettings().longest) == (100, 100)
    windows = LocalizerSettings(mode="windows")
    assert (windows.snippets, windows.longest) == (256, 64)
    assert LocalizerSettings(mode="windows", length=48).longest == 48
    assert LocalizerSettings(length=48, max_duration=20).longest == 20
    with pytest.raises(ValueError, match="max_duration must be ≤ the length, 48, got max_duration=49"):
        LocalizerSettings(length=48, max_duration=49)


def test_the_settings_of_a_run_make_another(tmp_path, capsys):
    planted, out, again = plant(tmp_path), tmp_path / "out.json", tmp_path / "again.json"
    files = ["--features", planted / "features", "--annotations", planted / "truth.json", "--out", out]
    more = ["--length", 20, "--epochs", 1, "--seed", 3, "--labels", 2, "--task", "detection"]
    assert localize.main([str(each) for each in (*files, *more)]) == 0
    assert localize.main(["--config", str(tmp_path / "out.config.json"), "--out", str(again)]) == 0
    assert out.read_bytes() == again.read_bytes()
    flags = [json.loads((tmp_path / f"{name}.config.json").read_text())["flags"] for name in ("out", "again")]
    assert flags[1] == {**flags[0], "out": str(again)}
    assert (flags[0]["length"], flags[0]["seed"], flags[0]["keep"]) == (20, 3, 100)
    assert localize.main(["--config", str(tmp_path / "out.config.json"), "--length", "0"]) == 2
    assert "localize: error: --length must be ≥ 1, got 0\n" in capsys.readouterr().err
