"""Weights as folders that Hugging Face's tools read and upload: config.json, model.safetensors, README.md.

Used by encoders.py, checkpoint.py and users; imports shots. Nothing is downloaded or uploaded unless a name of the hub
is given.
Legend: N samples, C = 3 channels, T frames, Y X picture.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from huggingface_hub import ModelCard, PyTorchModelHubMixin, snapshot_download
from huggingface_hub.constants import CONFIG_NAME
from huggingface_hub.constants import SAFETENSORS_SINGLE_FILE as WEIGHTS
from safetensors import SafetensorError
from safetensors.torch import load_model
from torch import nn

import gpuaug

from ..shots.network import FEATURES, Outputs, ShotNetwork

FORMAT = 1  # of config.json


def is_folder(path: str | Path) -> bool:
    """Is this a folder of `save_pretrained`?"""
    return all((Path(path) / name).is_file() for name in (CONFIG_NAME, WEIGHTS))


class Shareable(PyTorchModelHubMixin, library_name="gpuaug"):
    """A network with `save_pretrained(folder)`, `from_pretrained(folder or name)` and `push_to_hub(name)`.

    A class says how it is made again: `described` gives what config.json has, `from_described` a network from it.

    Attributes:
        about: of the training run, for config.json and the model card; {} where there was none: task, encoder, numbers
            (the last validation: {score: {value, low, high, constant}}), deviations, step, flags, versions, …
    """

    about: dict[str, Any]

    def described(self) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def from_described(cls, config: dict[str, Any], weights: Path) -> Self:
        raise NotImplementedError

    def save_pretrained(self, save_directory: Any, *, config: Any = None, **how: Any) -> str | None:
        """Write the three files; a README.md that is there stays as it is."""
        whole = {"library": "gpuaug", "format": FORMAT, "version": gpuaug.__version__, **self.described()}
        return super().save_pretrained(save_directory, config=config or {**whole, "about": self.about}, **how)

    def generate_model_card(self, *_: Any, **__: Any) -> ModelCard:
        """The run's numbers, and how to use the weights."""
        return ModelCard(card(self.described(), self.about))

    @classmethod
    def _from_pretrained(  # the mixin says which arguments come
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        config: dict[str, Any] | None = None,
        map_location: str = "cpu",
        **_: Any,
    ) -> Self:
        folder = Path(model_id)
        if not folder.is_dir():
            how = {"revision": revision, "cache_dir": cache_dir, "token": token}
            patterns = [CONFIG_NAME, WEIGHTS]
            folder = Path(
                snapshot_download(
                    model_id,
                    allow_patterns=patterns,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    **how,  # type: ignore[arg-type]
                )
            )
        file = folder / WEIGHTS
        config = config or {}
        if config.get("library") != "gpuaug" or not file.is_file():
            raise ValueError(
                f"weights must be a folder of save_pretrained with {CONFIG_NAME} and {file.name}, {model_id} is not"
            )
        if not isinstance(number := config.get("format"), int) or number > FORMAT:
            raise ValueError(
                f"{model_id} is of a newer version (format {number}, this one reads {FORMAT}): update gpuaug"
            )
        try:
            model = cls.from_described(config, file)
            load_model(model, file, device=map_location)  # type: ignore[arg-type]
        except (KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise ValueError(f"{model_id} cannot be read: {str(error).strip().splitlines()[0]}") from None
        model.about = config.get("about") or {}
        return model.eval()  # type: ignore[attr-defined]


class ShotModel(nn.Module, Shareable):
    """The shot detector: clips (N, C, T, 36, 36), normalised, to logits (N, T, 3) of marks and (N, T, families).

    Args:
        families: names of the kinds of boundary. thresholds: of the rule that makes ranges, {} for the usual ones.

    `pretrain.shots.detect.Detector(folder)` looks at whole videos with it.
    """

    def __init__(self, families: list[str], thresholds: dict[str, float] | None = None) -> None:
        super().__init__()
        self.network, self.outputs = ShotNetwork(), Outputs(FEATURES, families)
        self.thresholds, self.about = thresholds or {}, {}

    def forward(self, clip_NCTYX: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.outputs(self.network(clip_NCTYX))

    def described(self) -> dict[str, Any]:
        return {"kind": "shots", "families": list(self.outputs.families), "thresholds": self.thresholds}

    @classmethod
    def from_described(cls, config: dict[str, Any], weights: Path) -> Self:
        return cls(config["families"], config["thresholds"])


def card(described: dict[str, Any], about: dict[str, Any]) -> str:
    """A model card in Markdown: what it is, the numbers of its run, how to use it."""
    shots = described["kind"] == "shots"
    task = about.get("task")
    made = f"pre-trained with {task}" if task else "weights"
    lines = ["---", "library_name: gpuaug", "tags:", "- video"]
    lines += ["- shot-boundary-detection"] if shots else ["- temporal-action-localization"]
    lines += ["---", "", f"# {'Shot detector' if shots else described['name']}, {made} by gpuaug", ""]
    numbers = {name: each for name, each in about.get("numbers", {}).items() if isinstance(each, dict)}
    if numbers:
        lines += [f"After {about.get('step', '?')} steps, on {about.get('held_out', 'held-out')} videos:", ""]
        lines += ["| score | held out | 95 % interval | best constant answer |", "|---|---|---|---|"]
        for name, each in numbers.items():
            value, low, high, constant = (_text(each.get(key)) for key in ("value", "low", "high", "constant"))
            lines.append(f"| {name} | {value} | {low} – {high} | {constant} |")
        lines += [""]
    else:
        lines += ["Nothing was held out, so that nothing is known of what it learned.", ""]
    rows = {name: about[name] for name in ("recipe", "videos", "classes", "deviations", "precision") if about.get(name)}
    rows |= {name: described[name] for name in ("frames", "size", "features", "mean", "std") if name in described}
    rows |= {"frames per second": about["fps"]} if about.get("fps") else {}
    rows |= {name: about[name] for name in ("commit", "versions") if about.get(name)}
    lines += [f"- {name}: {_words(value)}" for name, value in rows.items()]
    use = ["from pretrain.shots.detect import Detector", "", 'Detector("FOLDER")("film.mp4").boundaries']
    if not shots:
        shape = "clips (N, 3, {frames}, {size}, {size}), (pixels / 255 − mean) / std, to (N, {features})"
        use = ["from pretrain.models.encoders import Encoder", "", 'encoder = Encoder.from_pretrained("FOLDER")']
        use += [f"# {shape.format_map(described)}"]
    program = "gpuaug shots film.mp4 --weights FOLDER --out shots"
    program = program if shots else "gpuaug extract --checkpoint FOLDER --videos videos --out features"
    lines += ["", "## Use", "", "```python", *use, "```", "", f"    {program}", ""]
    return "\n".join(lines)


def _text(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "–"


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
