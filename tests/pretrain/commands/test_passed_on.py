"""What a command hands to the function that does the work, and what it says and returns after it."""

from types import SimpleNamespace

import pytest
import torch

from pretrain.commands import extract, localize, shots, similarity, toy, train
from pretrain.commands import report as report_command
from pretrain.common.cli import Failed
from pretrain.data.segments import Segments
from pretrain.localization.localizer import Found


@pytest.fixture
def said(capsys):
    """A function: the lines of standard output, and of standard error."""

    def lines():
        return tuple(text.splitlines() for text in capsys.readouterr())

    return lines


# ---------------------------------------------------------------- toy


@pytest.fixture
def toys(monkeypatch):
    asked = []

    def actions(folder, **how):
        asked.append(("actions", folder, how))
        return ["a", "b", "c"]

    monkeypatch.setattr(toy, "make_actions", actions)
    monkeypatch.setattr(toy, "make_untrimmed", lambda folder, **how: asked.append(("untrimmed", folder, how)) or "path")
    return asked


def test_toys(toys, said, tmp_path):
    assert toy.main(["--out", str(tmp_path)]) == 0
    usual = {"seed": 0, "classes": 8, "workers": None, "style": toy.EASY}
    assert toys == [("actions", tmp_path / "actions", {"clips_per_class": 20, **usual}),
                    ("untrimmed", tmp_path / "untrimmed", {"videos": 16, **usual})]  # fmt: skip
    out, err = said()
    assert out == [f"3 clips of 8 classes: {tmp_path / 'actions'}", "16 untrimmed videos: path"]
    assert err[0].endswith(f"preview --task bsp --videos {tmp_path / 'actions'} --out look")
    toys.clear()
    words = ["--seed", "3", "--classes", "2", "--workers", "5", "--hard"]
    assert toy.main(["--out", str(tmp_path), *words, "--clips", "0", "--videos", "7"]) == 0
    other = {"seed": 3, "classes": 2, "workers": 5, "style": toy.HARD}
    assert toys == [("untrimmed", tmp_path / "untrimmed", {"videos": 7, **other})]
    assert said() == (["7 untrimmed videos: path"], [])
    toys.clear()
    assert toy.main(["--out", str(tmp_path), "--clips", "9", "--videos", "0"]) == 0
    assert [(name, how.get("clips_per_class")) for name, _, how in toys] == [("actions", 9)]


# ---------------------------------------------------------------- train


@pytest.fixture
def trained(monkeypatch):
    """What `train` gave to its parts; the run ends with `status`, or raises it."""
    seen = SimpleNamespace(status="finished", records=[], closed=[], device=None, started=None, main=True)
    settings = SimpleNamespace(
        run=SimpleNamespace(dry_run=False, device="auto", out="OUT", tensorboard=True, quiet=True)
    )
    seen.settings = settings

    def record(out, **how):
        seen.records.append((out, how))
        return SimpleNamespace(close=lambda: seen.closed.append("record"))

    def start(kind):
        seen.started = kind
        return SimpleNamespace(main=seen.main, close=lambda: seen.closed.append("group"))

    def run(given, task, *, device, group, record):
        assert (given, task, device.type) == (settings, "task", "cpu")
        if isinstance(seen.status, Exception):
            raise seen.status
        return seen.status

    monkeypatch.setattr(train, "parse", lambda argv, **about: (settings, "task", None))
    monkeypatch.setattr(train, "pick_device", lambda name: torch.device({"auto": "cpu"}[name]))
    monkeypatch.setattr(train, "start", start)
    monkeypatch.setattr(train, "RunFolder", record)
    monkeypatch.setattr(train, "run", run)
    return seen


@pytest.mark.parametrize(
    ("status", "main", "code"), [("finished", True, 0), ("finished", False, 0), ("stopped", True, 1)]
)
def test_a_training_and_its_status(trained, said, status, main, code):
    trained.status, trained.main = status, main
    assert train.main([]) == code
    assert trained.records == [("OUT", {"writes": main, "tensorboard": True, "quiet": True})]
    assert (trained.closed, trained.started) == (["record", "group"], "cpu")
    next_lines = [line for line in said()[1] if line.startswith("next: ")]
    assert [line.endswith("report OUT") for line in next_lines] == [True] * (status == "finished" and main)


def test_a_training_that_fails_lets_go_of_its_folder(trained, said):
    trained.status = Failed("no")
    assert train.main([]) == 1
    assert trained.closed == ["record", "group"]
    assert said() == ([], ["train: no"])


def test_a_dry_run_starts_nothing(trained, said, monkeypatch):
    trained.settings.run.dry_run = True
    monkeypatch.setattr(train, "dry_run", lambda settings, task: [f"{task} a", "b"])
    assert train.main([]) == 0
    assert said() == (["task a", "b"], [])
    assert trained.records == []


# ---------------------------------------------------------------- extract


@pytest.mark.parametrize(
    ("status", "main", "pool", "told"), [(0, True, [], True), (1, True, [], False), (0, False, [], False),
                                         (0, True, ["--pool", "max"], False)]
)  # fmt: skip
def test_an_extraction_and_what_comes_next(status, main, pool, told, said, monkeypatch):
    seen = []
    group = SimpleNamespace(main=main, close=lambda: seen.append("closed"))
    monkeypatch.setattr(extract, "start", lambda kind, timeout: seen.append((kind, timeout.days)) or group)
    monkeypatch.setattr(
        extract, "extract", lambda settings, given: seen.append((settings.out, given is group)) or status
    )
    assert extract.main(["--videos", "v", "--out", "f", "--encoder", "e", "--init", "none", *pool]) == status
    assert seen == [("cpu", 30), ("f", True), "closed"]
    assert [line.endswith("localize --features f --annotations ANNOTATIONS.json --out detections.json")
            for line in said()[1]] == [True] * told  # fmt: skip


# ---------------------------------------------------------------- localize


@pytest.fixture
def localized(monkeypatch, tmp_path):
    seen = SimpleNamespace(read=[], given=None, written=[])

    def subset(features, annotations, name, val_list):
        seen.read.append((str(features), str(annotations), name, val_list))
        left = [f"{name}0: no features"] if name == "training" else []
        return SimpleNamespace(sequences={f"{name}1": None}, left_out=left, counts={"clipped to the video": 2})

    def found(train, test, settings, *, video_scores):
        seen.given = (settings.labels, video_scores)
        one = Segments.of([("validation1", 0.0, 1.0, "a", 0.5)])
        return Found(one, Segments.of([]), 0.125)

    monkeypatch.setattr(localize, "read_subset", subset)
    monkeypatch.setattr(localize, "trained_videos", lambda features, train, test: {"training1"})
    monkeypatch.setattr(localize, "localize", found)
    monkeypatch.setattr(localize, "read_video_scores", lambda path: {"scores of": str(path)})
    monkeypatch.setattr(localize, "actionness", lambda train, test, *, seed: {"seed": [float(seed)]})
    write = seen.written.append
    monkeypatch.setattr(
        localize, "write_activitynet_results", lambda path, rows, **how: write((path.name, len(rows), how))
    )
    monkeypatch.setattr(
        localize, "write_frame_scores", lambda path, step, scores, **how: write((path.name, step, scores, how))
    )
    seen.words = ["--features", "F", "--annotations", "A", "--out", str(tmp_path / "out.json")]
    return seen


def test_detections(localized, said, tmp_path):
    more = ["--proposals", str(tmp_path / "bare.json"), "--video-scores", "S", "--labels", "3"]
    assert localize.main([*localized.words, *more]) == 0
    assert localized.read == [("F", "A", "training", None), ("F", "A", "validation", None)]
    assert localized.given == (3, {"scores of": "S"})
    how = {"videos": {"validation1": None}, "trained_on": {"training1"}}
    assert localized.written == [("out.json", 1, how), ("bare.json", 0, how)]
    out, err = said()
    assert out == [
        "1 predictions, training loss 0.125",
        f"1 videos to learn from, 1 localised: {tmp_path / 'out.json'}",
        "training: 2 actions clipped to the video",
        "validation: 2 actions clipped to the video",
        "1 videos left out:",
        "  training0: no features",
    ]
    assert err[0].endswith(f"evaluate detection --truth A --predictions {tmp_path / 'out.json'}")
    assert localize.main(localized.words) == 0
    assert localized.given == (1, None)


def test_steps(localized, tmp_path):
    words = ["--task", "steps", "--seed", "7", "--train-subset", "one", "--subset", "two", "--val-list", "L"]
    assert localize.main([*localized.words, *words]) == 0
    assert [(name, str(path)) for *_, name, path in localized.read] == [("one", "L"), ("two", "L")]
    assert localized.written == [("out.json", 0.2, {"seed": [7.0]}, {"trained_on": {"training1"}})]
    assert (tmp_path / "out.config.json").exists()


# ---------------------------------------------------------------- report, similarity, shots


def test_a_report_and_what_it_is_made_of(said, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(
        report_command, "write", lambda run, out, sets, others: seen.append((run, out, sets, others)) or out
    )
    monkeypatch.setattr(report_command, "read_actions", lambda path: f"actions of {path}")
    monkeypatch.setattr(report_command, "Features", lambda path: f"features of {path}")
    monkeypatch.setattr(report_command, "differences", lambda features, actions: (features, actions))
    assert report_command.main([str(tmp_path)]) == 0
    assert seen == [(tmp_path, tmp_path / "report.html", {}, [])]
    out, err = said()
    assert out == [str(tmp_path / "report.html")]
    assert err[0].endswith(f"extract --checkpoint {tmp_path} --videos VIDEOS --out features")
    words = [str(tmp_path), "other", "--out", "page.html", "--features", "a/f", "b/g", "--annotations", "A"]
    assert report_command.main(words) == 0
    run, page, sets, others = seen[1]
    assert (run, str(page), [str(each) for each in others]) == (tmp_path, "page.html", ["other"])
    assert sets == {"f": ("features of a/f", "actions of A"), "g": ("features of b/g", "actions of A")}
    assert said()[1] == []
    assert report_command.main([str(tmp_path), "--features", "a/f", "b/f", "--annotations", "A"]) == 0
    assert list(seen[2][2]) == ["a/f", "b/f"], "of one name"
    for one in (["--features", "a"], ["--annotations", "A"]):
        assert report_command.main([str(tmp_path), *one]) == 2


def test_the_first_annotated_video_in_all_features_is_drawn(said, monkeypatch, tmp_path):
    sets = {"before": ["a", "v_abcdefghijk", "z"], "after": ["v_abcdefghijk", "z"]}
    seen = []
    monkeypatch.setattr(similarity, "Features", lambda path: sets[path])
    monkeypatch.setattr(similarity, "read_actions", lambda path: {"a": [1], "abcdefghijk": [1], "z": [1], "w": []})
    monkeypatch.setattr(similarity, "draw", lambda *given, rows: seen.append((*given, rows)))
    words = ["--features", "before", "after", "--annotations", "A", "--out", str(tmp_path / "p.png")]
    assert similarity.main(words) == 0
    assert seen[0][0] == sets
    assert seen[0][1] == ["v_abcdefghijk"]
    assert seen[0][3:] == (tmp_path / "p.png", 1000)
    out, err = said()
    assert out == [str(tmp_path / "p.png")]
    assert err[0].endswith("localize --features after --annotations A --out detections.json")
    assert similarity.main([*words, "--video", "z", "v_abcdefghijk", "--rows", "2"]) == 0
    assert (seen[1][1], seen[1][4]) == (["z", "v_abcdefghijk"], 2)
    assert similarity.main([*words, "--rows", "1"]) == 2
    assert similarity.main([*words, "--video", "a"]) == 1
    assert "'a' has none in after" in said()[1][-1]
    monkeypatch.setattr(similarity, "read_actions", lambda path: {"a": [1], "z": []})
    assert similarity.main(words) == 1
    assert "got none in 2" in said()[1][-1]


def test_names_of_lists_differ(tmp_path):
    paths = [tmp_path / name for name in ("x/a.mp4", "y/a.mkv", "b.mp4", "z/a.mp4", "x/a.mp4")]
    assert list(shots._names(paths).values()) == ["a", "a-2", "b", "a-3"]
    with pytest.raises(ValueError, match="VIDEO must be files, or folders with videos, found none"):
        shots._names([])


@pytest.mark.parametrize(
    ("text", "shard"),
    [("0/1", (0, 1)), ("2/3", (2, 3)), ("3/3", None), ("1", None), ("a/2", None), ("0/b", None)],
)
def test_shards(text, shard, said):
    if shard:
        assert shots._shard(text) == shard
        return
    assert shots.main(["v", "--out", "o", "--shard", text]) == 2
    assert f"must be I/N with 0 ≤ I < N, got {text}" in said()[1][-1]
