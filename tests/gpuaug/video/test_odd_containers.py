"""What single containers and codecs do to frames and times, against ffmpeg. Pictures carry their number."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from gpuaug.video.frame_index import read_index
from support.assets import EVEN_MS, MS, encode, ffmpeg_rgb, ffmpeg_seconds, number_of
from support.decoding.odd_files import avi, avi_chunks, shown, without_first

COUNT = 40


def test_avi_with_odd_lengths_and_dropped_frames(tmp_path):
    """Chunks of odd length without the byte that fills them up, and empty chunks, which are frames shown again."""
    for codec, options in (("mjpeg", {}), ("mpeg4", {}), ("mpeg4", {"bf": "2"})):
        form = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        plain = encode(
            tmp_path / "plain.avi",
            range(COUNT),
            Fraction(1, 25),
            codec,
            size=(64, 160),
            options=options,
            pixel_format=form,
        )
        chunks = avi_chunks(plain)
        odd = [data if len(data) % 2 else data + b"\0" for data in chunks]
        variants = {
            "odd": avi(plain, odd),
            "unfilled": avi(plain, odd, fill=False),
            "without_index": avi(plain, odd, fill=False, index=False),
            "dropped": avi(plain, [b"" if k % 7 == 3 else data for k, data in enumerate(chunks)]),
        }
        for name, data in variants.items():
            if name == "dropped" and options:
                continue  # what refers to a dropped picture is damaged
            path = tmp_path / f"{name}.avi"
            path.write_bytes(data)
            numbers, seconds, _ = shown(path)
            assert numbers == [number_of(frame) for frame in ffmpeg_rgb(path, 64, 160)], (codec, name)
            np.testing.assert_allclose(seconds, ffmpeg_seconds(path), atol=1e-3)


def test_pictures_before_the_first_key_frame(tmp_path):
    """Stored after it and shown before it: what can be decoded alone is a frame, the first at time 0."""
    for more, leading in (("radl=2:open-gop=0", 2), ("open-gop=1", 0)):
        params = f"log-level=none:keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0:{more}"
        whole = encode(
            tmp_path / "w.mkv", EVEN_MS[:COUNT], MS, "libx265", size=(64, 160), options={"x265-params": params}
        )
        with av.open(str(whole)) as file:
            keys = [k for k, p in enumerate(p for p in file.demux(video=0) if p.size) if p.is_keyframe]
        path = without_first(whole, tmp_path / f"cut{leading}.mkv", keys[1])
        numbers, seconds, _ = shown(path)
        expected = [number_of(frame) for frame in ffmpeg_rgb(path, 64, 160)]
        assert numbers == expected == list(range(COUNT - len(expected), COUNT))
        np.testing.assert_allclose(seconds, ffmpeg_seconds(path), atol=2e-3)
        index = read_index(str(path))
        assert index.first_decodable_K[0] == leading, "negative control: there are pictures before the key frame"
