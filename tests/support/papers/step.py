"""One small step of a published recipe against code that was written from the papers and shares none with pretrain.

The batch, as sources, frames, weights and targets, has to be what the equations say, exactly; from its float32 clips
on, loss, the gradient and the update of every parameter have to agree in float64 to 1e-6. Sizes and batches are small,
which the equations do not notice. `prepared` and `check_step` run our side and compare.
"""

import pytest
import torch

from pretrain.common.distributed import Group
from pretrain.feed.loaders import EncoderInput
from pretrain.models.encoders import encoder
from pretrain.tasks.recipes import RECIPES
from pretrain.training.loop import Model
from pretrain.training.optimizer import Optimizer, peak_rates
from pretrain.training.run_folder import RunFolder
from pretrain.training.session import make_loader, read_data
from pretrain.training.settings import parse

TOLERANCE = 1e-6
SMALL = {
    "bsp": "--size 32 --batch 4 --bank-size 38 160",
    "pal": "--size 16 --batch 2 --queue 16",
    "tsp": "--size 16 --batch 4 --bank-size 18 24",
}
OWN = ("pal", "tsp-anet", "tsp-anet-r2plus1d-18", "tsp-anet-r3d-18")  # rows that try their 3-D networks, which are slow


def prepared(name, toy, tmp_path, teachers=None):
    """Settings, task, a batch (two for PAL), the model in float64, its optimizer."""
    task = RECIPES[name].task
    words = f"--recipe {name} --out {tmp_path}/run --val-batches 0 --threads 1 {SMALL[task]}".split()
    words += [
        "--videos",
        str(toy / ("untrimmed" if task == "tsp" else "kinetics/train")),
        "--cache",
        str(tmp_path / "c.sqlite3"),
    ]
    if task == "tsp":
        words += ["--annotations", str(toy / "train.csv")]
    if "gvf" in RECIPES[name].needs:
        words += ["--gvf", str(toy / "gvf.h5")]
    if teachers:
        words += ["--teacher-action", str(teachers[0]), "--teacher-boundary", str(teachers[1])]
    if name in OWN:
        words += ["--batch", "1"] if task == "pal" else []  # of two, TSP may have background alone
    elif task != "bsp":
        words += ["--encoder", "tsm_resnet18"]
    settings, module, _ = parse(words, prog="train")
    group, record = Group(), RunFolder(tmp_path / "run", writes=False, quiet=True)
    dataset, _ = read_data(settings, module, group, record)
    torch.manual_seed(5)
    net = encoder(settings.encoder.encoder, frames=settings.encoder.frames, size=settings.encoder.size)
    head = module.Head(net.features, dataset.classes, settings.options)
    model = Model(net, head).double().train()
    pictures = EncoderInput(net.mean, net.std, torch.float32, torch.device("cpu"))
    batches = []
    with make_loader(settings, module, dataset, pictures, train=True, group=group) as loader:
        for step in range(2 if task == "pal" else 1):
            batch = loader.batch(step)
            batch.clips, batch.target = batch.clips.clone(), {k: v.clone() for k, v in batch.target.items()}
            batches.append((batch, loader.bank.info.copy()))
        videos = list(loader.bank.videos)
    optim = peak_rates(
        settings.optim, settings.defaults, RECIPES[name].flags.get("batch", settings.defaults["batch"]).value
    )
    optimizer = Optimizer(model, net.stem, optim, scale=False, device="cpu")
    return settings, dataset, videos, batches, model, optimizer


def ours(model, optimizer, batch, factor=1.0):
    """Loss, gradients before clipping and parameters afterwards, by name, as the training makes them."""
    torch.manual_seed(9)  # dropout
    target = {k: v.double() if v.is_floating_point() else v for k, v in batch.target.items()}
    loss, _ = model(batch.clips.double(), target)
    optimizer.backward(loss)
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    optimizer.step(factor)
    return loss.detach(), gradients, {name: p.detach().clone() for name, p in model.named_parameters()}


def compare(mine, theirs, what):
    assert mine.keys() == theirs.keys(), what
    largest = max(float(value.abs().max()) for value in theirs.values())
    for name, value in theirs.items():
        scale = max(float(value.abs().max()), 1e-4 * largest, 1e-12)
        error = float((mine[name] - value).abs().max()) / scale
        assert error < TOLERANCE, f"{what} of {name} differs by {error:.2g}"


def check_step(model, optimizer, batch, loss_of, update):
    """Our step against the paper's: `loss_of(P)` of named tensors, `update(P, gradients)` their values afterwards."""
    P = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    torch.manual_seed(9)
    loss = loss_of(P)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, [P[name] for name in trained], allow_unused=True)
    gradients = {name: g for name, g in zip(trained, found) if g is not None}
    with torch.no_grad():
        after = update({name: p.detach() for name, p in P.items()}, gradients)
    my_loss, my_gradients, my_after = ours(model, optimizer, batch)
    assert my_loss.item() == pytest.approx(loss.item(), rel=TOLERANCE, abs=1e-9)
    compare({name: my_gradients[name] for name in gradients}, gradients, "the gradient")
    assert all(float(g.abs().max()) == 0 for name, g in my_gradients.items() if name not in gradients)
    before = {name: p.detach() for name, p in P.items()}
    compare({n: my_after[n] - before[n] for n in after}, {n: after[n] - before[n] for n in after}, "the update")
