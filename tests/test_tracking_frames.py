"""Frames of clips, folders, lists and streams, by number."""

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from clips import HEIGHT, WIDTH, clip, frame, turned
from PIL import Image

from anymask.errors import ImageError, PromptError
from anymask.tracking.frames import STREAM_WINDOW, open_frames
from anymask.video.reading import Reader
from anymask.video.seeking import KEPT_FRAMES, ClipFrames


def every(path):
    return [one.rgb for one in Reader(path)]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("even.mp4", {"frames": 50}),
        ("varying.mp4", {"frames": 6, "times": [0, 3, 50, 51, 90, 400]}),
        ("old.avi", {"frames": 40, "codec": "mpeg4"}),
        ("one.mp4", {"frames": 1}),
        ("sound.mp4", {"frames": 20, "sound": True}),
    ],
)
def test_a_clip_in_any_order(tmp_path, name, options):
    path = clip(tmp_path / name, **options)
    expected = every(path)
    frames = ClipFrames(path)
    count = len(expected)
    assert frames.count == count == options["frames"]
    order = [*range(count), *reversed(range(count)), *np.random.default_rng(0).integers(0, count, 12).tolist()]
    assert all(np.array_equal(frames.at(index), expected[index]) for index in order)
    assert len(frames._kept) <= KEPT_FRAMES
    frames.close()


def test_times_of_a_varying_rate(tmp_path):
    frames = ClipFrames(clip(tmp_path / "a.mp4", 4, times=[0, 3, 50, 51]))
    unit = float(frames.time_base)
    assert [round(100 * unit * frames.time(index)) for index in range(4)] == [0, 3, 50, 51]


def test_a_clip_that_is_turned(tmp_path):
    path = turned(clip(tmp_path / "a.mp4", 3))
    first = open_frames(path).at(0)
    assert first.shape == (WIDTH, HEIGHT, 3)
    assert np.array_equal(first, every(path)[0])


def test_a_clip_that_is_cut_off(tmp_path):
    path = clip(tmp_path / "a.mp4", 200, width=320, height=240, early=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = open_frames(path)
    assert "cut off" in frames.trouble
    assert 0 < frames.count < 200
    there = [frames.at(index) is not None for index in range(frames.count)]
    assert there[0] and there == sorted(there, reverse=True)
    cut = clip(tmp_path / "b.mp4", 20)
    cut.write_bytes(cut.read_bytes()[:-400])  # not even its index is whole
    with pytest.raises(ImageError, match="that can be read"):
        open_frames(cut)


def test_a_clip_whose_frames_change_size(tmp_path):
    parts = [clip(tmp_path / "a.ts", 4, codec="mpeg2video"), clip(tmp_path / "b.ts", 4, codec="mpeg2video", width=64)]
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = open_frames(both)
    with pytest.raises(ImageError, match=r"Frame \d of .*both.ts has 64 x 64 pixels, but the first has 96 x 64"):
        for index in range(8):
            frames.at(index)


def test_frames_that_do_not_exist(tmp_path):
    frames = open_frames(clip(tmp_path / "a.mp4", 3))
    for index in (3, -1):
        with pytest.raises(PromptError, match=rf"There is no frame {index} in .*: it has 3, from 0 to 2"):
            frames.at(index)
    with pytest.raises(PromptError, match="it has only frame 0"):
        open_frames([frame(0)]).at(1)


def test_a_folder_in_the_order_of_its_numbers(tmp_path):
    for number in (1, 2, 10):
        Image.fromarray(frame(number)).save(tmp_path / f"f{number}.jpg", quality=95)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "f1.png")  # its mask
    frames = open_frames(tmp_path)
    assert frames.count == 3
    assert all(np.abs(frames.at(i).astype(int) - frame(n)).mean() < 4 for i, n in enumerate((1, 2, 10)))
    Image.fromarray(frame(0, 80, 60)).save(tmp_path / "f11.jpg")
    with pytest.raises(ImageError, match=r"Frame 3 .* 80 x 60 pixels, but the first has 96 x 64"):
        open_frames(tmp_path).at(3)


def test_arrays(tmp_path):
    array = np.stack([frame(i) for i in range(3)])
    for video in (array, list(array)):
        assert np.array_equal(open_frames(video).at(2), array[2])
    with pytest.raises(ImageError, match=r"shape \[T, H, W, 3\]"):
        open_frames(array[0])
    with pytest.raises(ImageError, match="not float"):
        open_frames(3.5)
    for nothing in ([], tmp_path):
        with pytest.raises(ImageError):
            open_frames(nothing)
    with pytest.raises(ImageError, match="does not exist"):
        open_frames(tmp_path / "none.mp4")


def test_a_stream_is_read_once_and_never_ahead():
    taken = []

    def coming():
        for index in range(20):
            taken.append(index)
            yield frame(index)

    frames = open_frames(coming())
    assert taken == [] and frames.count is None
    with pytest.raises(PromptError, match="has not come yet; the next one is 0"):
        frames.at(1)
    for index in range(20):
        assert np.array_equal(frames.at(index), frame(index))
        assert taken == list(range(index + 1))
    assert np.array_equal(frames.at(20 - STREAM_WINDOW), frame(20 - STREAM_WINDOW))
    with pytest.raises(PromptError, match="Frame 3 of the stream has passed"):
        frames.at(3)
    assert frames.at(20) is None and frames.count == 20
    with pytest.raises(ImageError, match="no frame in the stream"):
        open_frames(iter([])).at(0)
    changing = open_frames(iter([frame(0), frame(1, 80, 60)]))
    changing.at(0)
    with pytest.raises(ImageError, match="Frame 1 of the stream has 80 x 60"):
        changing.at(1)


@pytest.fixture
def network_camera() -> Iterator[str]:
    """The address of a camera that gives ten pictures, JPEGs one after the other over HTTP as many cameras do."""

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for index in range(10):
                file = io.BytesIO()
                Image.fromarray(frame(index)).save(file, "JPEG", quality=95, subsampling=0)
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {file.tell()}\r\n\r\n"
                self.wfile.write(head.encode() + file.getvalue() + b"\r\n")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/video.mjpg"
    server.shutdown()
    server.server_close()


def test_a_camera_is_a_stream_that_says_how_it_ended(network_camera: str) -> None:
    frames = open_frames(network_camera)
    assert frames.streams and frames.count is None and frames.name == network_camera
    shown = 0
    while (rgb := frames.at(shown)) is not None:
        assert np.abs(rgb.astype(int) - frame(shown)).mean() < 4  # red is red, and blue blue
        shown += 1
    assert shown == frames.count == 10
    assert frames.trouble == f"The {network_camera} gives no more pictures."
    frames.close()


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(ImageError, match="There is no camera 77, or it is in use; cameras are counted from 0"):
        open_frames(77)
    with pytest.raises(ImageError, match=r"There is no http://127\.0\.0\.1:9/, or it is in use"):
        open_frames("http://127.0.0.1:9/")
    with pytest.raises(ImageError, match=r"There is no http://127\.0\.0\.1:9/, or"):
        open_frames("http://user:secret@127.0.0.1:9/")
    with pytest.raises(ImageError, match="not bool"):
        open_frames(True)
