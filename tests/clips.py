"""Clips for tests, made with PyAV: a bright square that moves over a dark ground, a tone, and what phones add."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, RATE = 96, 64, 10


def frame(index: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """uint8 [H, W, 3]: dark blue, with a yellow square that moves two pixels to the right each time."""
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[:] = (20, 30, 90)
    left = (2 * index) % max(1, width - 24)
    rgb[16:40, left : left + 24] = (240, 220, 40)
    return rgb


def clip(
    path: Path,
    frames: int = 12,
    *,
    width: int = WIDTH,
    height: int = HEIGHT,
    sound: bool = False,
    times: list[int] | None = None,
    codec: str = "libx264",
    early: bool = False,
) -> Path:
    """A clip; `times` are the frames' times in hundredths of a second, by default even. `early`: an MP4 tells of its
    frames before they come, not at its end."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if early else {}) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p" if codec == "libx264" else "yuv420p"
        stream.options = {"crf": "10"}
        stream.codec_context.time_base = Fraction(1, 100)
        tone = container.add_stream("aac", rate=8000, layout="mono") if sound else None
        if tone is not None:
            for start in range(0, int(8000 * frames / RATE), 1024):
                wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(start, start + 1024) / 8000)
                piece = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="fltp", layout="mono")
                piece.sample_rate, piece.pts = 8000, start
                container.mux(tone.encode(piece))
            container.mux(tone.encode(None))
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(frame(index, width, height), format="rgb24")
            picture.pts = index * 100 // RATE if times is None else times[index]
            picture.time_base = Fraction(1, 100)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def turned(path: Path) -> Path:
    """The clip with a phone's note that it is to be turned clockwise by a quarter."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    data[place : place + 36] = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, HEIGHT << 16, 0, 0x40000000)
    path.write_bytes(data)
    return path


def sound_only(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        tone = container.add_stream("aac", rate=8000, layout="mono")
        piece = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        piece.sample_rate, piece.pts = 8000, 0
        container.mux(tone.encode(piece))
        container.mux(tone.encode(None))
    return path


def read(path: Path, decoder: str | None = None) -> list[np.ndarray]:
    """The frames of a clip, RGBA; VP9's transparency takes the decoder libvpx-vp9."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if decoder is None:
            return [one.to_ndarray(format="rgba") for one in container.decode(stream)]
        codec = av.CodecContext.create(decoder, "r")
        codec.extradata = stream.codec_context.extradata
        packets = [packet for packet in container.demux(stream) if packet.size]
        found = [one for packet in packets for one in codec.decode(packet)] + list(codec.decode(None))
        return [one.to_ndarray(format="rgba") for one in found]
