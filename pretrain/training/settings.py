"""The settings of `python -m pretrain train`, all made from its words: those of every task, and of the one chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..common import cli
from ..common.cli import Parser, add_config, add_flags, make, read_config
from ..common.distributed import DEVICES
from ..common.files import local
from ..common.settings import BadSetting, Kinds, Recipe, check, deviations, flags_of, option, required, saved, setting
from ..data.segments import Background
from ..feed.settings import AugmentSettings, FeedSettings
from ..models.encoders import EncoderSettings
from ..tasks.recipes import PRESETS, RECIPES
from ..tasks.task import TASKS, Task, load, recipe
from .optimizer import OptimSettings

EPILOG = "[P]: the task's paper, [C]: its authors' public code (for BSP: TSM's), [D], [ours]: this project's choice."


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which videos are trained on, and which are held out (session.read_data)."""

    videos: tuple[str, ...] = required("folders (class folders give labels), files, or CSV", metavar="PATH")
    annotations: str | None = setting(
        None, "segments of untrimmed videos (ActivityNet, THUMOS14, TSP or our CSV)", metavar="FILE"
    )
    subset: str | None = setting(
        None, "of the annotations to train on, all: every one; without it training or train; THUMOS14: val"
    )
    background: Background = setting(
        "complement",
        "of annotations: complement, what no action covers; file, the published rows of TSP's CSV or ours; none, "
        "actions alone",
    )
    val_videos: tuple[str, ...] | None = setting(
        None, "held-out videos; without a --val flag, --holdout of --videos", metavar="PATH"
    )
    val_annotations: str | None = setting(None, "of the held-out videos; without it --annotations", metavar="FILE")
    val_subset: str | None = setting(None, "of the held-out videos' annotations; without it all of them")
    holdout: float = setting(0.2, "share of the videos held out, stratified", above=0)
    cache: str | None = setting(
        None, "remembers probed videos; without it a file in the user's cache folder", metavar="FILE"
    )

    def __post_init__(self) -> None:
        check(self)
        for name in ("subset", "val_annotations", "val_subset"):
            if getattr(self, name) and not self.annotations:
                raise ValueError(f"{option(name)} needs --annotations")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How long a run is, what it leaves behind, and when (loop.py, run_folder.py)."""

    out: str = required("run folder", metavar="DIR", short="-o")
    dry_run: bool = setting(
        False, "only count the rows of the annotations, and the segments they make; no video is needed", saved=False
    )
    resume: bool = setting(False, "go on from OUT's newest whole checkpoint, if there is one", saved=False)
    overwrite: bool = setting(False, "begin anew in an OUT that has a run; its checkpoints are deleted", saved=False)
    seed: int = setting(0, "of everything random")
    epochs: float = required("passes over the training videos", above=0, instead_of=("steps", "minutes"))
    clips_per_segment: int = setting(1, "samples per segment in an epoch", least=1)
    steps: int | None = setting(
        None, "length of the run in steps, instead of --epochs", above=0, instead_of=("minutes",)
    )
    minutes: float | None = setting(
        None, "length of the run in minutes of training, instead of --epochs", above=0, instead_of=("steps",)
    )
    device: str = setting("auto", DEVICES)
    log_every: int = setting(10, "how often a line is logged", least=1, metavar="STEPS")
    val_every: float | None = setting(
        None,
        "validation; always at the end too; without it 10 times a run, but at least 20 steps apart",
        above=0,
        metavar="EPOCHS",
    )
    val_batches: int | None = setting(
        None, "held-out batches per validation, 0: none; without it every held-out segment, once", least=0
    )
    checkpoint_every: int = setting(500, "also at validations", least=1, metavar="STEPS")
    keep: int = setting(3, "rolling checkpoints", least=1)
    tensorboard: bool = setting(False, "also write scalars and sample clips for TensorBoard")
    quiet: bool = setting(False, "no progress bar")

    def __post_init__(self) -> None:
        check(self)
        if self.steps and self.minutes:
            raise ValueError("--steps and --minutes cannot both give the length of the run")
        if self.resume and self.overwrite:
            raise ValueError("--resume and --overwrite cannot both be given: one goes on with a run, one deletes it")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Everything that a run is told.

    Attributes:
        recipe: name of a published one (tasks/recipes.py), or "". preset: likewise.
        defaults: of the task, and of that recipe or preset.
        deviations: in words, where the settings are not those of the recipe.
    """

    task: str
    recipe: str = ""
    preset: str = ""
    defaults: Recipe = field(default_factory=dict)
    deviations: tuple[str, ...] = ()
    data: DataSettings
    run: RunSettings
    encoder: EncoderSettings
    feed: FeedSettings
    augment: AugmentSettings
    optim: OptimSettings
    options: Any  # the task's Settings

    def saved(self) -> dict[str, Any]:
        """What config.json says of them."""
        named = {"task": self.task, **({"recipe": self.recipe} if self.recipe else {})}
        return {**named, **saved(*(getattr(self, each.name) for each in fields(self)[5:]))}


KINDS: Kinds = {
    "data": DataSettings,
    "run": RunSettings,
    "encoder": EncoderSettings,
    "optimisation": OptimSettings,
    "decoding and the bank of decoded windows": FeedSettings,
    "augmentation of the picture, one draw per sample": AugmentSettings,
}


USUAL = (  # flags that --help shows, beside those of the task
    *(
        "task",
        "preset",
        "recipe",
        "config",
        "videos",
        "annotations",
        "val_videos",
        "out",
        "resume",
        "epochs",
        "steps",
        "minutes",
    ),
    *("device", "encoder", "init", "size", "batch", "lr", "fps", "window_frames", "reuse_max"),
)


def parse(
    argv: Sequence[str] | None, *, prog: str, extra: Kinds | None = None, usual: Sequence[str] = USUAL, **about: Any
) -> tuple[TrainSettings, Task, dict[str, Any]]:
    """The settings, with the task's defaults filled in; the task; and the values of all flags by name.

    Args:
        extra: settings of the command that are not those of a run, usual ones.
        usual: names of the flags that --help shows. about: of the `Parser`.
    """

    def begun(**about: Any) -> Parser:
        parser = Parser(prog=prog, **about)
        parser.add_argument("--task", choices=sorted(TASKS), help="with --help: shows its own flags and defaults")
        text = "small: other defaults, for a CPU or a first look, of no paper; flags beside it win"
        parser.add_argument("--preset", choices=PRESETS, help=text)
        text = "a row of a paper as published, and its task; flags beside it deviate, and are named (docs/fidelity.md)"
        parser.add_argument("--recipe", choices=RECIPES, metavar="NAME", help=f"{text}: {', '.join(RECIPES)}")
        add_config(parser)
        return parser

    known, _ = begun(add_help=False).parse_known_args(argv)
    config = read_config(known.config) if "config" in known else {}
    row = known.recipe or (config.get("recipe") if known.task in (None, config.get("task")) else None)
    published = RECIPES.get(row or "")
    if known.preset and row:
        begun(**about).error(f"--preset {known.preset} and --recipe {row} cannot both be given")
    name = known.task or (published.task if published else config.get("task"))
    if published and name != published.task:
        begun(**about).error(f"--recipe {row} is of the task {published.task}, got --task {name}")
    tasks = {each: load(each) for each in ([name] if name in TASKS else sorted(TASKS))}
    own = {f"options of {name}": tasks[name].Settings} if name in tasks else {}
    kinds = {**own, **KINDS, **(extra or {})}
    shown = [each.name for kind in (*own.values(), *(extra or {}).values()) for each in flags_of(kind)]
    parser = begun(epilog=EPILOG, usual=(*usual, *shown), **about)
    preset = PRESETS.get(known.preset, {})
    recipes = {
        each: {**recipe(task), **preset.get(each, {}), **(published.flags if published else {})}
        for each, task in tasks.items()
    }
    add_flags(parser, kinds, recipes)
    values = cli.parse(parser, argv, kinds, recipes.get(name))
    try:
        if values.get("init") == "none":  # as extract has it; the deviations of a recipe tell of it
            values["init"] = None
        if values.get("dry_run"):
            values = {"videos": (), "out": "", **values}
        if name is None:
            raise BadSetting("task", f"one of {', '.join(TASKS)}", "none")
        settings = TrainSettings(
            task=name,
            recipe=row or "",
            preset=known.preset or "",
            defaults=recipes[name],
            deviations=_deviations(row or "", recipes[name], values),
            data=make(DataSettings, values),
            run=make(RunSettings, values),
            encoder=make(EncoderSettings, values),
            feed=make(FeedSettings, values),
            augment=make(AugmentSettings, values),
            optim=make(OptimSettings, values),
            options=make(tasks[name].Settings, values),
        )
        for kind in (extra or {}).values():
            make(kind, values)
        if settings.feed.window_frames < (needed := tasks[name].window_frames(settings.options)):
            rule = f"≥ {needed}, the frames that samples reach over"
            raise BadSetting("window_frames", rule, settings.feed.window_frames)
    except ValueError as error:
        parser.error(getattr(error, "flag", str(error)))
    return settings, tasks[name], values


def _deviations(row: str, defaults: Recipe, values: dict[str, Any]) -> tuple[str, ...]:
    """Flags that differ from a published recipe, and what it needs that was not given."""
    if row not in RECIPES:
        return ()
    needs, grid = RECIPES[row].needs, RECIPES[row].grid
    told = {name: value for name, value in values.items() if name not in needs and value not in grid.get(name, ())}
    lacks = [f"{option(name)} none, not {what}" for name, what in needs.items() if not values.get(name)]
    return (*deviations(told, defaults), *lacks)


def check_files(settings: TrainSettings) -> None:
    """Errors (ValueError): a file that a flag names is not there. Before anything that takes time."""
    data, names = settings.data, ("teacher_action", "teacher_boundary", "gvf")
    named: list[tuple[str, str | None]] = [("videos", path) for path in data.videos]
    named += [("val_videos", path) for path in data.val_videos or ()]
    named += [("annotations", data.annotations), ("val_annotations", data.val_annotations)]
    named += [("init", settings.encoder.init), *((name, getattr(settings.options, name, None)) for name in names)]
    for name, path in named:
        if path and not Path(path).exists():
            raise ValueError(f"{option(name)} must be a file or folder that exists, there is no {path}{local(path)}")
