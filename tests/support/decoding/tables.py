"""Time tables written by hand."""

from __future__ import annotations

import numpy as np

from gpuaug.video.frame_index import FrameIndex


def table(stamps, packets=None, keys=(0,), **other):
    """The index of a file with these stamps, each frame's packet, and the packets that are key frames."""
    stamp_N = np.array(stamps, np.int64)
    packet_N = np.arange(len(stamps)) if packets is None else np.array(packets)
    place = {int(number): i for i, number in enumerate(packet_N)}
    key_K = np.array(keys)
    fields = {
        "path": "x", "tick_seconds": 0.1, "stamp_N": stamp_N, "end": int(stamp_N[-1]) + 1, "decoder_pts_N": stamp_N,
        "packet_N": packet_N, "key_pts_K": stamp_N[[place[k] for k in keys]], "key_packet_K": key_K,
        "first_decodable_K": np.maximum.accumulate([place[k] for k in keys]), "pts_unreliable": False,
        "display_order_unknown": False, "frame_numbers_agree": True, "codec": "h264", "pixel_format": "yuv420p",
        "matrix": 1, "full_range": False, "width": 8, "height": 8, "rotation": 0, "mirrored": False,
        "size_P": np.zeros(len(stamps), np.int32), "bytes": 0,
    }  # fmt: skip
    return FrameIndex(**{**fields, **other})
