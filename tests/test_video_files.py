"""What clips carry besides their frames: sound of other codecs, odd times, shapes of pixels, colours; Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av", reason="clips need the video extra")

from clips import HEIGHT, WIDTH, clip, frame, read  # noqa: E402
from PIL import Image  # noqa: E402

from anymask.errors import ImageError  # noqa: E402
from anymask.video import cut_out_video  # noqa: E402


class Everything:
    """Takes the whole frame for the subject."""

    def matte(self, picture, refine=True, **options):
        return np.ones(picture.shape[:2], np.float32)


def recorded(path: Path, frames: int = 20, sound: str = "aac", start: int = 0, channels: str = "stereo") -> Path:
    """A clip with loud noise of another codec, all times later by `start` seconds."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        tone = container.add_stream(sound, rate=48000, layout=channels)
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(frame(index), format="rgb24")
            picture.pts, picture.time_base = index + 10 * start, Fraction(1, 10)
            container.mux(video.encode(picture))
            count = tone.codec_context.layout.nb_channels
            wave = np.random.default_rng(index).normal(0, 0.2, (count, 4800)).astype(np.float32)
            piece = av.AudioFrame.from_ndarray(wave, format="fltp", layout=channels)
            piece.sample_rate, piece.pts, piece.time_base = 48000, 4800 * index + 48000 * start, Fraction(1, 48000)
            resampler = av.AudioResampler(tone.codec_context.format, channels, 48000, tone.codec_context.frame_size)
            for part in resampler.resample(piece) if sound == "pcm_s16le" else [piece]:
                container.mux(tone.encode(part))
        container.mux(video.encode(None))
        container.mux(tone.encode(None))
    return path


@pytest.mark.parametrize(
    ("source", "sound", "target", "expected"),
    [
        ("in.ts", "aac", "out.mp4", "aac"),
        ("in.ts", "aac", "out.mkv", "aac"),
        ("in.mkv", "libmp3lame", "out.mp4", "mp3"),
        ("in.mkv", "libmp3lame", "out.webm", "opus"),
        ("in.mkv", "libopus", "out.webm", "opus"),
        ("in.mkv", "libopus", "out.mov", "aac"),
        ("in.mkv", "flac", "out.mp4", "aac"),
    ],
)
def test_sound_is_copied_or_encoded_anew(tmp_path, source, sound, target, expected):
    result = cut_out_video(recorded(tmp_path / source, sound=sound), tmp_path / target, Everything(), background="red")
    assert (result.frames, result.trouble) == (20, "")
    with av.open(str(tmp_path / target)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.codec.canonical_name == expected
        pieces = list(container.decode(stream))
    assert sum(piece.samples for piece in pieces) / pieces[0].sample_rate == pytest.approx(2, abs=0.15)
    assert abs(float(pieces[0].pts * pieces[0].time_base)) < 0.1
    assert np.concatenate([piece.to_ndarray().ravel() for piece in pieces]).astype(float).std() > 0


def test_six_channels_become_two_where_they_are_encoded_anew(tmp_path):
    source = recorded(tmp_path / "in.mkv", sound="aac", channels="5.1")
    cut_out_video(source, tmp_path / "out.webm", Everything())
    with av.open(str(tmp_path / "out.webm")) as container:
        assert container.streams.audio[0].layout.name == "stereo"


def test_sound_without_a_place_is_left_out(tmp_path):
    assert cut_out_video(recorded(tmp_path / "in.ts"), tmp_path / "out.webp", Everything()).frames == 20
    assert cut_out_video(tmp_path / "in.ts", tmp_path / "out", Everything()).frames == 20


def test_times_begin_at_nought(tmp_path):
    cut_out_video(recorded(tmp_path / "in.ts", start=3600), tmp_path / "out.mp4", Everything(), background="red")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.duration / av.time_base < 2.5
        assert abs(next(container.decode(video=0)).time) < 0.1


def test_damaged_sound_does_not_stop_the_pictures(tmp_path):
    path = recorded(tmp_path / "in.mkv", sound="libmp3lame")
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    content = path.read_bytes()
    for packet in packets[5:10]:
        content = content.replace(packet, b"\x55" * len(packet))
    path.write_bytes(content)
    assert cut_out_video(path, tmp_path / "out.webm", Everything()).frames == 20


@pytest.mark.parametrize("name", ["out.mp4", "out.webm", "out.mov"])
def test_colours_are_kept_and_named(tmp_path, name):
    cut_out_video(clip(tmp_path / "in.mp4", 2), tmp_path / name, Everything(), background="red", audio=False)
    with av.open(str(tmp_path / name)) as container:
        found = next(container.decode(video=0))
    assert (found.colorspace, found.color_range) == (1, 1), "BT.709, 16 to 235"
    flat = found.to_ndarray(format="rgb24")[18:38, 4:20].reshape(-1, 3)
    assert np.abs(flat.mean(axis=0) - (240, 220, 40)).max() < 4


def test_pixels_that_are_not_square_become_so(tmp_path):
    path = tmp_path / "in.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame(0), format="rgb24")))
        container.mux(stream.encode(None))
    for name in ("out.webm", "out.mp4", "out.mov"):
        cut_out_video(path, tmp_path / name, Everything(), background="red")
        with av.open(str(tmp_path / name)) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == (WIDTH * 4 // 3, HEIGHT), name
            assert stream.sample_aspect_ratio in (None, 1), name


@pytest.mark.parametrize("name", ["out.webp", "out.apng"])
def test_moving_pictures(tmp_path, name):
    class Left(Everything):
        def matte(self, picture, refine=True, **options):
            alpha = super().matte(picture)
            alpha[:, WIDTH // 2 :] = 0
            return alpha

    times = [0, 10, 20, 50, 60]
    cut_out_video(clip(tmp_path / "in.mp4", 5, times=times), tmp_path / name, Left())
    with Image.open(tmp_path / name) as image:
        assert image.n_frames == 5 and image.info["loop"] == 0
        lengths = []
        for index in range(5):
            image.seek(index)
            rgba = np.asarray(image.convert("RGBA"))
            lengths.append(image.info["duration"])
            assert rgba.shape == (HEIGHT, WIDTH, 4)
            assert rgba[:, 40, 3].min() == 255 and rgba[:, 60, 3].max() == 0
    assert lengths[:4] == [100, 100, 300, 100]


def test_fewer_frames(tmp_path):
    source = clip(tmp_path / "in.mp4", 20)
    told = []
    result = cut_out_video(
        source, tmp_path / "half.mp4", Everything(), background="red", fps=5, on_progress=lambda *a: told.append(a)
    )
    assert result.frames == 10 and told[-1] == (10, 10)
    with av.open(str(tmp_path / "half.mp4")) as container:
        times = [one.time for one in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 5
    assert np.allclose(times, np.arange(10) / 5)
    assert cut_out_video(source, tmp_path / "all.webm", Everything(), fps=100).frames == 20
    result = cut_out_video(source, tmp_path / "few.webm", Everything(), limit=3)
    assert (result.frames, result.trouble) == (3, "")
    for wrong in ({"fps": 0}, {"fps": float("nan")}, {"limit": 0}):
        with pytest.raises(ImageError, match="At least one frame"):
            cut_out_video(source, tmp_path / "none.webm", Everything(), **wrong)


def test_frames_are_not_mixed_with_others(tmp_path):
    (tmp_path / "frames").mkdir()
    Image.new("L", (1, 1)).save(tmp_path / "frames" / "00007.png")
    with pytest.raises(ImageError, match="has pictures in it already"):
        cut_out_video(clip(tmp_path / "in.mp4", 2), tmp_path / "frames", Everything())
    assert [path.name for path in (tmp_path / "frames").iterdir()] == ["00007.png"]


def test_a_list_of_other_files_is_no_clip(tmp_path):
    clip(tmp_path / "secret.ts", 3)
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/secret.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.mp4").write_text(text)
    (tmp_path / "concat.mp4").write_text("ffconcat version 1.0\nfile /etc/passwd\n")
    for name in ("list.mp4", "concat.mp4"):
        with pytest.raises(ImageError, match=r"no clip|no frame|no moving"):
            cut_out_video(tmp_path / name, tmp_path / "out.webm", Everything())


def test_names_are_names_of_files(tmp_path):
    source = clip(tmp_path / "in.mp4", 2)
    odd = source.rename(tmp_path / "http:a|b %05d.mp4")
    assert cut_out_video(odd, tmp_path / "c:%03d.webm", Everything()).frames == 2
    assert len(read(tmp_path / "c:%03d.webm")) == 2


def test_a_cover_is_no_clip(tmp_path):
    """Music with a picture: a video stream of FFmpeg's that does not move."""
    path = tmp_path / "song.mp3"
    Image.new("RGB", (16, 16), "red").save(tmp_path / "cover.png")
    with av.open(str(path), "w") as container:
        tone = container.add_stream("libmp3lame", rate=48000, layout="mono")
        piece = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.float32), format="fltp", layout="mono")
        piece.sample_rate = 48000
        container.mux(tone.encode(piece))
        container.mux(tone.encode(None))
    cover = (tmp_path / "cover.png").read_bytes()
    body = b"\0image/png\0\3\0" + cover
    about = b"APIC" + len(body).to_bytes(4, "big") + b"\0\0" + body
    length = bytes((len(about) >> shift) & 127 for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\3\0\0" + length + about + path.read_bytes())
    with pytest.raises(ImageError, match="no moving pictures"):
        cut_out_video(path, tmp_path / "out.webm", Everything())


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_control_c_keeps_the_frames_so_far(tmp_path):
    code = """
import sys, time, numpy as np
from anymask.video import cut_out_video
class Slow:
    def matte(self, picture, refine=True, **options):
        time.sleep(0.05)
        return np.ones(picture.shape[:2], np.float32)
def told(done, total):
    if done == 5:
        print("five", flush=True)
print(cut_out_video(sys.argv[1], sys.argv[2], Slow(), on_progress=told))
"""
    source = recorded(tmp_path / "in.mkv", 200)
    command = [sys.executable, "-c", code, str(source), str(tmp_path / "out.webm")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "five\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
    count = int(said.split("frames=")[1].split(",")[0])
    assert process.returncode == 0 and f"The work was stopped; {count} frames are kept." in said
    assert 5 <= count < 100 and len(read(tmp_path / "out.webm")) == count
    assert not list(tmp_path.glob(".anymask*"))
