"""Classes of videos that are given up once some of their files have failed, and none was decoded."""

from dataclasses import replace

from gpuaug.video.backends.failures import Classes
from support.decoding.tables import table

FILES = [table([0, 1], path=f"{k}.mp4") for k in range(4)]


def test_a_class_is_given_up_after_so_many_files():
    classes = Classes(2)
    assert classes.refuses(FILES[0]) == ""
    classes.failed(FILES[0], "first")
    classes.failed(FILES[0], "again")
    assert classes.refuses(FILES[1]) == "", "one file, twice"
    classes.failed(FILES[1], "second")
    said = "2 of 2 files of h264, yuv420p, 8 × 8 failed, the last: second"
    assert classes.refuses(FILES[2]) == said
    classes.failed(FILES[2], "third")
    assert classes.refuses(FILES[3]) == said, "no more are kept"
    others = {"codec": "hevc", "pixel_format": "yuv444p", "width": 9, "height": 9}
    for name, value in others.items():
        assert classes.refuses(replace(FILES[3], **{name: value})) == "", name


def test_a_class_of_which_one_was_decoded_is_never_given_up():
    for before in (0, 1, 2):
        classes = Classes(2)
        for file in FILES[:before]:
            classes.failed(file, "broken")
        classes.decoded(FILES[3])
        assert classes.refuses(FILES[0]) == ""
        for file in FILES[:3]:
            classes.failed(file, "broken")
        assert classes.refuses(FILES[0]) == ""
