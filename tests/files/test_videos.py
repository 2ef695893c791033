from __future__ import annotations

import random
import sys
from fractions import Fraction
from pathlib import Path

import numpy
import pytest
from small_videos import write_video

from ovsskit.errors import BadImage, MissingExtra
from ovsskit.files.inputs import find_images, search_images
from ovsskit.files.videos import KEPT, is_frame, list_frames, rate_of, read_frame

COUNT = KEPT + 40
MOST = 10_000


def numbered(number: int) -> numpy.ndarray:
    """Return a frame of 32 x 24 pixels; 12 squares show the bits of its number."""
    bits = numpy.array([number >> bit & 1 for bit in range(12)], "uint8").reshape(3, 4)
    return numpy.repeat((bits * 255).repeat(8, 0).repeat(8, 1)[..., None], 3, 2)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    write_video(tmp_path / "clip.mp4", map(numbered, range(COUNT)))
    return tmp_path / "clip.mp4"


def seen(path: Path) -> int:
    bits = read_frame(path, MOST)[4::8, 4::8, 0].ravel() > 127
    return sum(1 << place for place, bit in enumerate(bits) if bit)


def test_every_frame_is_an_image_with_a_path(video: Path) -> None:
    frames = find_images(str(video))
    assert frames == list_frames(video)
    assert [frame.relative_to(video).as_posix() for frame in frames[:2]] == ["000000", "000001"]
    assert len(frames) == COUNT
    assert all(is_frame(frame) for frame in frames)
    assert not is_frame(video)
    assert rate_of(video) == Fraction(10)


def test_frames_come_in_any_order(video: Path) -> None:
    frames = list_frames(video)
    for frame in [*frames, *random.Random(0).sample(frames, 20), frames[0], frames[-1], frames[0]]:
        assert seen(frame) == int(frame.name)
    assert read_frame(frames[3], MOST).shape == (24, 32, 3)


def test_folders_leave_videos_out_and_count_them(video: Path) -> None:
    (video.parent / "notes.md").write_text("notes")
    assert search_images([str(video), str(video.parent / "notes.md")]).left_out == ""
    with pytest.raises(Exception, match="2 files left out: 1 .md, 1 .mp4"):
        find_images(str(video.parent))


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"film")
    with pytest.raises(BadImage, match="The video cannot be read") as caught:
        find_images(str(tmp_path / "clip.mp4"))
    assert str(caught.value.where) == str(tmp_path / "clip.mp4")


def test_a_video_that_ends_early_and_one_that_is_too_large(video: Path) -> None:
    with pytest.raises(BadImage, match="ends before this frame"):
        read_frame(video / "000999", MOST)
    assert seen(video / "000000") == 0
    write_video(video.with_name("other.mp4"), map(numbered, range(2)))
    with pytest.raises(BadImage, match="32 x 24 pixels, more"):
        read_frame(video.with_name("other.mp4") / "000000", 100)


def test_a_changed_video_is_read_anew(video: Path) -> None:
    assert seen(video / "000009") == 9
    video.unlink()
    write_video(video, map(numbered, range(5)))
    with pytest.raises(BadImage, match="ends before"):
        read_frame(video / "000009", MOST)


def test_without_pyav_it_is_said(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtra, match="ovsskit.video"):
        find_images(str(video))
