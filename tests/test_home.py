import os
from pathlib import Path

import pytest

from anymask.home import home, writable_folder


def test_the_environment_moves_it(monkeypatch, tmp_path):
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path / "here"))
    assert home() == tmp_path / "here"
    assert writable_folder("graphs") == tmp_path / "here" / "graphs"
    assert (tmp_path / "here" / "graphs").is_dir()


def test_the_users_cache_folder_otherwise(monkeypatch, tmp_path):
    monkeypatch.delenv("ANYMASK_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert home() == tmp_path / "anymask"


@pytest.mark.parametrize("place", ["a file in the way", "read-only"])
def test_a_folder_that_cannot_be_written_is_no_folder(monkeypatch, tmp_path, place):
    if place == "read-only":
        if os.geteuid() == 0 and not Path("/proc/self").exists():
            pytest.skip("needs a place where even root may not write")
        monkeypatch.setenv("ANYMASK_HOME", "/proc/self" if os.geteuid() == 0 else str(_read_only(tmp_path)))
    else:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("ANYMASK_HOME", str(tmp_path / "file"))
    assert writable_folder("graphs") is None


def _read_only(folder: Path) -> Path:
    folder.chmod(0o500)
    return folder
