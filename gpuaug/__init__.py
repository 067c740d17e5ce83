"""GPU-native, on-the-fly video augmentation: the library.

Plans say what every output frame is made of (`Plan`, `where`, `fade`, `edits`), `blend` and `render` execute them,
`Decoder`, `ClipBank` and `probe` supply the pixels, and `Loader` does all of it: videos in, batches out (of `Segment`s,
seen as `Augment` says). `crossfade`, `concatenate`, `resample_speed`, `paste`, `take`
and `freeze` are the same edits on arrays of any library, `transforms` modules that draw them. `host_memory` says how
much of dropped results is kept for new ones. `read_text` and `read_table` read lists of videos strictly (`BadFile`).
What is not named here may change.

Used by pretrain, benchmarks, examples and users. Imports kernels, video and supply, never pretrain.
"""

__version__ = "0.1.0"

from . import color, crop, edits, reference, transforms, transitions
from .bank import ClipBank, Starved
from .functional import concatenate, crossfade, freeze, paste, resample_speed, take, transition
from .kernels import host_allocator as host_memory
from .plan import Plan, fade, where
from .render import blend, render
from .supply.augment import Augment
from .supply.loader import Batch, Loader
from .supply.sampler import NoSegmentLeft
from .supply.segment import Segment
from .video.decoder import Decoder
from .video.manifest import Manifest, Video, probe
from .video.table import BadFile, read_table, read_text
from .video.window import Failure, Window
from .video.write import write_video

__all__ = [
    "Augment",
    "BadFile",
    "Batch",
    "ClipBank",
    "Decoder",
    "Failure",
    "Loader",
    "Manifest",
    "NoSegmentLeft",
    "Plan",
    "Segment",
    "Starved",
    "Video",
    "Window",
    "__version__",
    "blend",
    "color",
    "concatenate",
    "crop",
    "crossfade",
    "edits",
    "fade",
    "freeze",
    "host_memory",
    "paste",
    "probe",
    "read_table",
    "read_text",
    "reference",
    "render",
    "resample_speed",
    "take",
    "transforms",
    "transition",
    "transitions",
    "where",
    "write_video",
]
