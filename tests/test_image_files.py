"""Pictures written: what comes back, and files that are whole or not there."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from anymask.errors import FormatError, ImageError
from anymask.images import WRITABLE, encode_image, read_image, read_picture, save_image, write_atomic

ROOT = Path(__file__).parents[1]


def photo(height: int = 30, width: int = 40) -> np.ndarray:
    """Something smooth, which every format keeps well, and different in every corner."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.round(np.stack([255 * x, 255 * y, 128 + 60 * x * y], axis=2)).astype(np.uint8)


def close(a: np.ndarray, b: np.ndarray, tolerance: float = 4) -> bool:
    return a.shape == b.shape and np.abs(a.astype(float) - b).mean() < tolerance


@pytest.mark.parametrize("suffix", [s for s in WRITABLE if s != "avif" or features.check("avif")])
def test_saved_pictures_can_be_read(suffix: str, tmp_path: Path) -> None:
    for image in (photo(), Image.fromarray(photo())):
        save_image(tmp_path / f"a.{suffix.upper()}", image)
        assert close(read_image(tmp_path / f"a.{suffix.upper()}"), photo(), 2)
    clear = np.zeros((8, 8, 4), np.uint8)
    save_image(tmp_path / f"b.{suffix}", clear)
    picture = read_picture(tmp_path / f"b.{suffix}")
    assert (picture.rgb > 250).all()
    assert (picture.alpha is None) == (suffix in ("jpg", "jpeg", "bmp"))


def test_what_encode_image_keeps_and_refuses() -> None:
    deep = np.array([[0, 300, 65535]], np.uint16)
    assert (np.asarray(Image.open(BytesIO(encode_image(deep, "png")))) == deep).all()
    assert read_image(encode_image(np.eye(3, dtype=bool), ".PNG"))[1, 1, 0] == 255
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = read_picture(encode_image(photo(), "jpg", quality=80, icc_profile=profile, dpi=(300, 300)))
    assert (picture.icc_profile, picture.dpi) == (profile, (300, 300))
    assert len(encode_image(photo(), "jpg", quality=20)) < len(encode_image(photo(), "jpg"))
    with pytest.raises(FormatError, match=r"'docx'; use one of png, jpg"):
        encode_image(photo(), "docx")
    with pytest.raises(ImageError, match="cannot be written as PNG"):
        encode_image(np.zeros((2, 2, 7), np.uint8), "png")
    with pytest.raises(ImageError, match="cannot be written as WEBP"):
        encode_image(np.zeros((2, 20_000, 3), np.uint8), "webp")


def test_write_replaces_follows_links_and_has_usual_permissions(tmp_path: Path) -> None:
    target, link = tmp_path / "a.bin", tmp_path / "link.bin"
    link.symlink_to(target)
    for data in (b"one", b"two"):
        write_atomic(link, data)
        assert target.read_bytes() == data
    assert link.is_symlink()
    (tmp_path / "plain").touch()
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["a.bin", "link.bin", "plain"]


@pytest.mark.parametrize("unnamed", [True, False])
@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failing_write_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, unnamed: bool
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if not unnamed:
        monkeypatch.setattr("anymask.images._write_unnamed", lambda *_: False)
    (tmp_path / "a.png").write_bytes(b"before")
    monkeypatch.setattr(os, function, fail)
    with pytest.raises(ImageError, match=r"a\.png cannot be written \(No space left on device\)"):
        save_image(tmp_path / "a.png", photo())
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"before"


def test_without_links_from_proc_files_are_written_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", fail)
    write_atomic(tmp_path / "a.bin", b"data")
    assert (tmp_path / "a.bin").read_bytes() == b"data"
    assert os.listdir(tmp_path) == ["a.bin"]


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(sys.platform != "linux", reason="files without names, limits and signals as Linux has them")
def test_a_kill_or_a_full_disk_in_the_middle_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"before")
    # The data are on disk, the name is not yet given: the process dies there.
    killed = run(
        "import os, signal\n"
        "from anymask import images\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "images.write_atomic('a.bin', bytes(10_000_000))\n",
        tmp_path,
    )
    assert killed.returncode == -signal.SIGKILL
    # A file cannot grow beyond a megabyte: write(2) itself fails half way.
    full = run(
        "import resource, signal\n"
        "from anymask import images\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "images.write_atomic('a.bin', bytes(10_000_000))\n",
        tmp_path,
    )
    assert "ImageError: a.bin cannot be written (File too large)" in full.stderr
    assert os.listdir(tmp_path) == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"before"


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"b\.png cannot be written \(No such file or directory\)"):
        save_image(tmp_path / "missing" / "b.png", photo())
    with pytest.raises(ImageError, match="cannot be written"):
        write_atomic(tmp_path, b"data")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_devices_are_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe, received = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_atomic(pipe, b"data")
    reader.join(timeout=10)
    assert received == [b"data"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
