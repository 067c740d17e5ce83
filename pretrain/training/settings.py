"""The settings of `python -m pretrain train`, all made from its words: those of every task, and of the one chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..common import cli
from ..common.cli import Parser, add_config, add_flags, make, read_config
from ..common.distributed import DEVICES
from ..common.settings import BadSetting, Kinds, check, flags_of, option, required, saved, setting
from ..feed.settings import AugmentSettings, FeedSettings
from ..models.encoders import EncoderSettings
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
        None, "validation; always at the end too; without it 10 times a run", above=0, metavar="EPOCHS"
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
    """Everything that a run is told."""

    task: str
    data: DataSettings
    run: RunSettings
    encoder: EncoderSettings
    feed: FeedSettings
    augment: AugmentSettings
    optim: OptimSettings
    options: Any  # the task's Settings

    def saved(self) -> dict[str, Any]:
        """What config.json says of them."""
        return {"task": self.task, **saved(*(getattr(self, each.name) for each in fields(self)[1:]))}


KINDS: Kinds = {
    "data": DataSettings,
    "run": RunSettings,
    "encoder": EncoderSettings,
    "optimisation": OptimSettings,
    "decoding and the bank of decoded windows": FeedSettings,
    "augmentation of the picture, one draw per sample": AugmentSettings,
}


USUAL = (  # flags that --help shows, beside those of the task
    *("task", "config", "videos", "annotations", "val_videos", "out", "resume", "epochs", "steps", "minutes"),
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
        add_config(parser)
        return parser

    known, _ = begun(add_help=False).parse_known_args(argv)
    name = known.task or (read_config(known.config).get("task") if "config" in known else None)
    tasks = {each: load(each) for each in ([name] if name in TASKS else sorted(TASKS))}
    own = {f"options of {name}": tasks[name].Settings} if name in tasks else {}
    kinds = {**own, **KINDS, **(extra or {})}
    shown = [each.name for kind in (*own.values(), *(extra or {}).values()) for each in flags_of(kind)]
    parser = begun(epilog=EPILOG, usual=(*usual, *shown), **about)
    recipes = {each: recipe(task) for each, task in tasks.items()}
    add_flags(parser, kinds, recipes)
    values = cli.parse(parser, argv, kinds, recipes.get(name))
    try:
        if name is None:
            raise BadSetting("task", f"one of {', '.join(TASKS)}", "none")
        settings = TrainSettings(
            task=name,
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
