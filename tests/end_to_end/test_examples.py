"""Every file under examples/: run as its docstring says, from elsewhere, and its results against independent ones."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.peers.decoders import can_load_torchcodec, pyavs_libraries
from gpuaug import Plan, blend, fade
from support.kernel_implementations import require_compiler

FOLDER = Path(__file__).parents[2] / "examples"
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
NEEDS = {"kornia_pipeline": ["kornia"], "dali_python_function": ["nvidia.dali"], "dlpack_arrays": ["jax"]}
NEEDS["loader_lightning"] = ["pytorch_lightning"]
ELSEWHERE = {"ray_data_edits"}  # tests/examples/test_synthesised.py
MIXED = r": \(10, 8, 3, 32, 32\), labels \[.*\], off by 0\.[0-4]\d of 255"
RESUMED = r"1\d steps, loss \d\.\d\d … \d\.\d\d; stopped after \d and resumed: equal True"
PRINTS = {  # what `python examples/NAME.py` must print, line by line
    "compiled_module": [r"batch \d: \(2, 4\), off by (0\.0e\+00|\d\.\de-(0[6-9]|\d\d)) from eager"] * 3,
    "dali_python_function": [r"\(2, 3, 8, 96, 128\) float32, halfway frame as NumPy makes it: True"],
    "dataloader_mixing": ["collate_fn" + MIXED] * 2 + ["batch transform" + MIXED] * 2,
    "dlpack_arrays": [
        r"jax: ArrayImpl uint8 \(2, 6, 32, 32, 3\) on .*, as NumPy: True",
        r"cupy: .*(True|left out, .*)",
    ],
    "kornia_pipeline": [r"\(4, 8, 3, 64, 64\) torch.float32 in \[0\.\d\d, [01]\.\d\d\], middles \[([2-6](, )?){4}\]"],
    "loader_lightning": [RESUMED],
    "loader_own_model": [RESUMED],
    "torchcodec_frames": [
        r"\(1, 3, 8, 112, 112\) torch.float32, labels {'up': 0.5625, 'down': 0.4375}, cut at frame 5"
    ],
}


def example(name: str, *needs: str) -> ModuleType:
    for package in needs:
        pytest.importorskip(package)
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def where_torchcodec_runs():
    """The environment of a process in which torchcodec finds FFmpeg: the system's or, without, the one of PyAV."""
    pytest.importorskip("torchcodec")
    return nullcontext(os.environ) if can_load_torchcodec() else pyavs_libraries()


def clips(count: int, *shape: int, device: str = "cpu", seed: int = 0) -> torch.Tensor:
    values = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    return torch.from_numpy(values).to(device)


def faded(first: np.ndarray, second: np.ndarray, center: int, overlap: int) -> np.ndarray:
    """One sample (T, …) of BSP Eq. (1) in integers, rounded to the nearest, halves upwards; NumPy only."""
    begin = center - overlap // 2
    a, b = first.astype(int), second.astype(int)
    j = np.arange(1, overlap + 1).reshape(-1, *[1] * (a.ndim - 1))
    middle = ((overlap - j) * a[begin : begin + overlap] + j * b[:overlap] + overlap // 2) // overlap
    return np.concatenate([a[:begin], middle, b[overlap : len(a) - begin]])


def test_all_are_here_and_short():
    assert {path.stem for path in FOLDER.glob("*.py")} == {*PRINTS, *ELSEWHERE}
    for path in FOLDER.glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 60, path.name
        assert f"python examples/{path.name}" in path.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", PRINTS)
def test_it_runs_from_anywhere(name, device, tmp_path):
    for package in NEEDS.get(name, []):
        pytest.importorskip(package)
    if name == "compiled_module" and device == "cpu":
        require_compiler()
    command = [sys.executable, str(FOLDER / f"{name}.py")]
    if name == "dali_python_function" and device == "cuda":
        command += ["--device", "gpu"]
    with where_torchcodec_runs() if name == "torchcodec_frames" else nullcontext(os.environ) as environment:
        environment = {**environment, **({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {})}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(PRINTS[name]), done.stdout
    for line, pattern in zip(lines, PRINTS[name]):
        assert re.fullmatch(pattern, line), line
    assert device == "cpu" or "left out" not in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("overlap", [0, 4, 8])
def test_clips_mix_and_labels_follow(device, overlap):
    """A clip of class c holds the number 16 c everywhere, so that the mean of a mix tells what its labels must be."""
    transform = example("dataloader_mixing").ClipCrossFade(num_classes=6, overlap=overlap)
    labels = torch.tensor([5, 0, 3, 3, 1], device=device)
    frames = (labels * 16.0).view(-1, 1, 1).expand(-1, 8, 4)
    torch.manual_seed(0)
    mixed, soft = transform(frames, labels)
    assert (mixed.shape, mixed.dtype, soft.shape) == (frames.shape, frames.dtype, (5, 6))
    assert mixed.device == soft.device == labels.device
    torch.testing.assert_close(mixed.mean((1, 2)), soft @ torch.arange(0.0, 96, 16, device=device))
    torch.testing.assert_close(soft.sum(1), torch.ones(5, device=device))
    previous = labels.roll(1)
    for n in range(5):
        assert set(soft[n].nonzero().flatten().tolist()) <= {int(labels[n]), int(previous[n])}


def test_labels_are_those_of_torchvisions_mixup():
    """A fade that is the same in all frames is MixUp: pixels and labels are what torchvision makes of them."""
    v2 = pytest.importorskip("torchvision.transforms.v2")
    torch.manual_seed(0)
    frames, labels = torch.rand(3, 5, 6, 7), torch.tensor([0, 2, 3])
    mixed, soft = v2.MixUp(num_classes=4)(frames, labels)
    plan = fade(Plan.take([0, 1, 2], np.arange(5)), Plan.take([2, 0, 1], np.arange(5)), 1 - soft[0, 0])
    torch.testing.assert_close(blend(frames, plan), mixed)
    torch.testing.assert_close(torch.from_numpy(plan.share(3)) @ torch.eye(4)[labels], soft)


@pytest.mark.filterwarnings("ignore:os.fork")  # JAX, if other tests have started it, warns; the workers do not use it
def test_workers_mix_as_collate_function_with_seeds_of_their_own():
    module = example("dataloader_mixing")
    labels = torch.zeros(16, dtype=torch.int64)
    labels[::2] = 4
    frames = (labels * 50).to(torch.uint8).view(-1, 1, 1).expand(-1, 8, 1 << 16).contiguous()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        module.mix(frames, labels)  # starts this process's OpenMP threads, which a forked worker does not have
        torch.manual_seed(1)
        dataset, options = TensorDataset(frames, labels), {"num_workers": 2, "timeout": 60}
        batches = list(DataLoader(dataset, batch_size=8, collate_fn=module.collate, **options))
    finally:
        torch.set_num_threads(threads)
    for mixed, soft in batches:
        assert (mixed.dtype, soft.shape) == (torch.uint8, (8, 5))
        torch.testing.assert_close(mixed.float().mean((1, 2)), soft[:, 4] * 200, atol=0.5, rtol=0)
    assert not torch.equal(batches[0][1], batches[1][1])


def test_it_goes_with_torchvisions_transforms():
    v2 = pytest.importorskip("torchvision.transforms.v2")
    transform = example("dataloader_mixing").ClipCrossFade(num_classes=6)
    pipeline = v2.Compose([v2.RandomChoice([transform]), v2.ToDtype(torch.float32, scale=True)])
    labels = torch.tensor([0, 5, 2])  # the brightness of class c is c / 5
    mixed, soft = pipeline((labels * 51).to(torch.uint8).view(-1, 1, 1, 1, 1).expand(-1, 8, 3, 4, 4), labels)
    torch.testing.assert_close(mixed.mean((1, 2, 3, 4)), soft @ torch.arange(6.0) / 5, atol=1 / 255, rtol=0)


# ---- the other libraries ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_kornia_gets_the_faded_frames_and_treats_all_of_a_clip_alike(device):
    module = example("kornia_pipeline", "kornia")
    first, second = clips(4, 8, 3, 6, 10, device=device), clips(4, 8, 3, 6, 10, device=device, seed=1)
    torch.manual_seed(0)
    pipeline = module.CrossFadeThenPixels(module.pixels())
    got, center = pipeline(first, second)
    mixed = [faded(a, b, c, 4) for a, b, c in zip(first.cpu().numpy(), second.cpu().numpy(), center.tolist())]
    floats = torch.from_numpy(np.stack(mixed)).to(device).float() / 255
    again = pipeline.pixels(floats, params=pipeline.pixels._params)  # kornia's own replay of what it drew
    torch.testing.assert_close(got, again)
    still = torch.rand(4, 1, 3, 6, 10, device=device).expand(-1, 8, -1, -1, -1)
    moved = pipeline.pixels(still)
    torch.testing.assert_close(moved, moved[:, :1].expand_as(moved))
    assert not torch.allclose(moved, still)


@pytest.mark.parametrize("device", ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_dali_fades_as_numpy_does(device, tmp_path):
    module = example("dali_python_function", "nvidia.dali")
    from pretrain.toy.dataset import make_actions

    videos = make_actions(tmp_path, classes=4, clips_per_class=1, codecs=["mjpeg"], sizes=[(48, 64)], progress=False)
    files = [str(path) for path in videos]
    run = module.pipeline(files[:2], files[2:], device, batch_size=2, device_id=0 if device == "gpu" else None)
    for _ in range(3):
        first, second, mixed, normal = (output.as_cpu().as_array() for output in run.run())
        assert not np.array_equal(first, second)
        expected = np.stack([faded(a, b, module.CENTER, module.OVERLAP) for a, b in zip(first, second)])
        np.testing.assert_array_equal(mixed, expected)
        np.testing.assert_allclose(normal, (expected.transpose(0, 4, 1, 2, 3) - 114.75) / 57.375, rtol=1e-5, atol=1e-6)


@pytest.mark.gpu  # torch_python_function makes a CUDA stream, also for the CPU
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_the_same_function_serves_dalis_torch_python_function(device):
    """With batch_processing=False it hands over torch tensors one by one."""
    module = example("dali_python_function", "nvidia.dali")
    from nvidia.dali import fn, pipeline_def
    from nvidia.dali.plugin.pytorch import fn as torch_fn

    a, b = clips(2, 8, 6, 5, 3).numpy()

    @pipeline_def(batch_size=1, num_threads=1, device_id=0)
    def pipeline():
        sources = [fn.external_source(source=[[x]], cycle=True) for x in (a, b)]
        inputs = [source.gpu() for source in sources] if device == "gpu" else sources
        options = {"function": module.crossfade, "batch_processing": False, "device": device}
        return torch_fn.torch_python_function(*inputs, **options)

    (mixed,) = pipeline().run()
    np.testing.assert_array_equal(mixed.as_cpu().as_array()[0], faded(a, b, module.CENTER, module.OVERLAP))


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_torchcodecs_frames_are_those_of_pyav(device, tmp_path):
    """In a process of its own, which finds FFmpeg; PyAV shows which frames the times mean, torch resizes them."""
    pytest.importorskip("torchcodec")
    code = """if True:
        import sys
        from fractions import Fraction
        import torch
        import torchcodec_frames as example
        folder, device = sys.argv[1:]
        toys = (("up", (96, 128), Fraction(15)), ("down", (120, 160), Fraction(24)))
        paths = [example.toy(folder, *toy) for toy in toys]
        frames = [example.decode(path, device).cpu() for path in paths]
        batch, plan = example.crossfade(paths, center=3, overlap=2, device=device)
        torch.save([[str(path) for path in paths], frames, batch.cpu()], f"{folder}/result.pt")
    """
    with where_torchcodec_runs() as environment:
        command = [sys.executable, "-c", code, str(tmp_path), device]
        done = subprocess.run(command, cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    paths, frames, batch = torch.load(tmp_path / "result.pt")
    for path, rate, got in zip(paths, (Fraction(15), Fraction(24)), frames):
        with av.open(path) as container:
            shown = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
        index = [int(rate * (2 * i + 1) / 20) for i in range(8)]  # (i + 1/2) / 10 s
        off = [[np.abs(got[i].numpy() - shown[k + shift]).mean() for i, k in enumerate(index)] for shift in (0, 1)]
        assert max(off[0]) < 2 < min(off[1]), off  # the next frames would not pass
    a, b = (interpolate(clip.permute(0, 3, 1, 2).float(), (112, 112), mode="bilinear") for clip in frames)
    expected = torch.stack([a[0], a[1], (a[2] + b[0]) / 2, *b[1:6]], 1)[None]
    torch.testing.assert_close(batch, (expected / 255 - 0.45) / 0.225, atol=1e-4, rtol=0)


@pytest.mark.parametrize("library", ["jax", pytest.param("cupy", marks=pytest.mark.gpu)])
def test_dlpack_arrays(library):
    module = example("dlpack_arrays")
    arrays = pytest.importorskip("jax.numpy" if library == "jax" else library)
    a, b = clips(2, 8, 5, 3).numpy(), clips(2, 8, 5, 3, seed=1).numpy()
    got = module.edit(arrays.asarray(a), arrays.asarray(b))
    assert isinstance(got, type(arrays.asarray(a)))
    assert got.device == arrays.asarray(a).device
    mixed = np.stack([faded(x, y, 4, 4) for x, y in zip(a, b)])
    expected = np.stack([mixed[0, [7, 6, 5, 4, 3, 2]], mixed[1, [7, 6, 5, 5, 5, 5]]])
    np.testing.assert_array_equal(got.get() if library == "cupy" else np.asarray(got), expected)


def test_inside_jit_there_are_no_arrays():
    module, jax = example("dlpack_arrays"), pytest.importorskip("jax")
    with pytest.raises(ValueError, match=r"first must be a torch, NumPy, CuPy or DLPack array, got .*Tracer"):
        jax.jit(module.edit)(jax.numpy.zeros((2, 8, 3), "uint8"), jax.numpy.zeros((2, 8, 3), "uint8"))


# ---- compiled_module -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_the_compiled_module_learns_as_the_eager_one(device):
    """Scores and gradients. aot_eager needs no compiler; Inductor is what the file itself runs with."""
    module = example("compiled_module")
    torch.compiler.reset()
    torch.manual_seed(0)
    model = module.SpeedThenFade().to(device)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    results = []
    for run in (model, compiled):
        model.zero_grad()
        scores = [run(*module.inputs(seed, device)) for seed in (0, 1)]
        torch.stack(scores).square().mean().backward()
        results.append([*scores, *(p.grad.clone() for p in model.parameters())])
    for eager, fast in zip(*results):
        torch.testing.assert_close(fast, eager, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(results[0][0], results[0][1])  # other inputs, other scores
    torch.compiler.reset()
