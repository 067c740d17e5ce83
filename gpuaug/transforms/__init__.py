"""Modules for batches of clips: temporal edits drawn at random, used as torchvision's transforms v2

Clips are (…, T, C, H, W), as torchvision has them: uint8, float16, bfloat16 or float32, on the CPU or a GPU; a
`tv_tensors.Video` stays one. A module is called with clips, with (clips, target), or with a dict whose clips are its
Video or stand at "video"; it gives back the same, also inside `v2.Compose`, in a DataLoader's workers or on its
batches. Edits of one clip (speed, reverse, freeze, jump) draw for every clip of whatever leading axes. Those of two
clips take a batch (N, T, C, H, W), of which every clip meets the one before it, as `v2.MixUp` pairs them, or, by
pairs="permutation", one at random.

A target is a tensor of classes, int (N,) with `num_classes`, or float (N, classes), which edits of two clips mix by how
much is seen of each; or a dict, in which "label" or "labels" is that tensor, and to which every module adds what the
frames then show: "frames", tensors (…, T): clip (int64, 0 the clip itself, above it others; −1 a colour), time
(float64, in frames of that clip as it first came, before the nearest is taken), kind and shot (int64, as in a plan's
marks). They go through every later edit, so that `plan(target)` says of the last clips where they are cut, and where a
speed or a direction changes: `gpuaug.transitions.labels(plan(target))`, `plan(target).boundary()`.

Random numbers come from `generator`, a torch.Generator, or torch's own; in a worker of a DataLoader, from its seed too.

Used by users. Imports arrays, edits, plan, layers, render and transitions.
"""

from .frames import plan
from .one_clip import RandomFreeze, RandomJump, RandomReverse, RandomSpeed
from .two_clips import CrossFade, MixClips, Paste, RandomTransition

__all__ = [
    "CrossFade",
    "MixClips",
    "Paste",
    "RandomFreeze",
    "RandomJump",
    "RandomReverse",
    "RandomSpeed",
    "RandomTransition",
    "plan",
]
