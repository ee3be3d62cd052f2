"""Downloading and verifying checkpoints, against a server on this machine that stalls, breaks off and lies."""

import hashlib
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from publisher import Publisher, Request, claim, cut, slowly, status

from anymask import hashes, transfer
from anymask.catalog import ModelEntry, Weights, find
from anymask.downloads import fetch, located, verified
from anymask.errors import WeightsError

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def server() -> Iterator[Publisher]:
    publisher = Publisher(CONTENT)
    yield publisher
    publisher.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, none of which is waited for."""
    made: list[float] = []
    monkeypatch.setattr(transfer.time, "sleep", made.append)
    monkeypatch.setattr(transfer, "STALLED", 0.2)
    return made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> Path:
    for name in ("ANYMASK_OFFLINE", "ANYMASK_MIRROR", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def entry(server: Publisher, home: Path) -> ModelEntry:
    weights = Weights(server.address, "weights.pth", sha256=hashlib.sha256(CONTENT).hexdigest())
    return replace(find("sam_vit_b"), name="sam_test", weights=weights, bytes=len(CONTENT))


def left(home: Path) -> set[str]:
    """The files in the folder of weights, but for locks."""
    return {path.name for path in (home / "weights").iterdir() if not path.name.endswith(".lock")}


def test_a_file_is_fetched_whole_and_told_about(server, entry, home):
    seen: list[tuple[int, int | None]] = []
    path = fetch(entry, lambda done, total: seen.append((done, total)))
    assert path == home / "weights" / "weights.pth"
    assert path.read_bytes() == CONTENT
    assert left(home) == {"weights.pth"}
    assert seen[0] == (0, len(CONTENT)) and seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert server.asked[0].headers["User-Agent"].startswith("anymask/")


def test_what_is_there_is_not_fetched(server, entry):
    fetch(entry)
    fetch(entry)
    located(entry)
    assert len(server.asked) == 1


@pytest.mark.parametrize("hash", ["md5", "git_blob"])
def test_other_hashes_know_a_file_too(entry, hash):
    values = {"md5": hashlib.md5(CONTENT), "git_blob": hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT)}
    weights = replace(entry.weights, sha256="", **{hash: values[hash].hexdigest()})
    assert fetch(replace(entry, weights=weights)).read_bytes() == CONTENT
    with pytest.raises(WeightsError, match=f"its {hash} should be 00 and is {values[hash].hexdigest()}"):
        verified(replace(entry, weights=replace(weights, **{hash: "00"})))


def test_git_agrees_about_its_blobs(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    try:
        result = subprocess.run(
            ["git", "hash-object", "--no-filters", tmp_path / "file"], capture_output=True, text=True
        )
    except FileNotFoundError:
        pytest.skip("git is not installed")
    assert hashes.compute(tmp_path / "file", "git_blob") == result.stdout.strip()


@pytest.mark.parametrize(
    ("answers", "firsts"),
    [
        ([cut(100_000)], [0, 100_000]),
        ([cut(100_000), cut(50_000), cut(1)], [0, 100_000, 150_000, 150_001]),
        ([cut(0), cut(0), cut(100)], [0, 0, 0, 100]),
        ([Request.stall], [0, len(CONTENT) // 2]),
        ([status(503), status(500), status(502), status(429)], [0] * 5),
        ([cut(9), status(503)], [0, 9, 9]),
        ([cut(9), Request.ignore_range], [0, 9]),
        ([cut(9), Request.wrong_range], [0, 9, 0]),
        ([cut(9), status(416, Content_Range="bytes */4")], [0, 9, 0]),
        ([claim(len(CONTENT) + 1000)], [0, len(CONTENT)]),
        ([status(302, Location="/elsewhere"), status(307, Location="/and/on?signature=1")], [0] * 3),
        ([cut(9), status(302, Location="/elsewhere")], [0, 9, 9]),
    ],
    ids=[
        "truncates", "truncates often", "sends nothing", "stalls", "is busy", "is busy half-way", "ignores the range",
        "sends another range", "denies the range", "claims more than there is", "redirects", "redirects half-way",
    ],
)  # fmt: skip
def test_bad_answers_are_survived(server, entry, home, answers, firsts):
    server.answers = list(answers)
    assert fetch(entry).read_bytes() == CONTENT
    assert server.firsts == firsts
    assert left(home) == {"weights.pth"}


def test_a_connection_that_breaks_for_ever_is_given_up_and_the_part_kept(server, entry, home, pauses):
    server.answers = [cut(1000), *[cut(0)] * 100]
    with pytest.raises(WeightsError, match=f"the connection broke after 1000 of {len(CONTENT)} bytes"):
        fetch(entry)
    assert pauses == [1, 2, 4, 8, 16]
    assert left(home) == {"weights.pth.part", "weights.pth.part.json"}
    server.answers.clear()
    fetch(entry)
    assert server.firsts[-1] == 1000


def test_starting_over_and_over_is_no_progress(server, entry):
    server.etag = server.modified = ""
    server.answers = [cut(1000)] * 100
    with pytest.raises(WeightsError, match="could not be downloaded"):
        fetch(entry)
    assert len(server.asked) == 6


@pytest.mark.parametrize(("etag", "modified"), [('"first"', ""), ("", "Sun, 22 Nov 2026 10:00:00 GMT")])
def test_a_part_of_a_file_that_has_changed_is_not_gone_on_from(server, entry, etag, modified):
    server.etag, server.modified = etag, modified
    server.content = b"old" * 1000
    server.answers = [cut(500), status(404)]
    with pytest.raises(WeightsError, match="404"):
        fetch(entry)
    server.content, server.etag, server.modified = CONTENT, etag and '"second"', modified.replace("10:", "11:")
    assert fetch(entry).read_bytes() == CONTENT
    assert server.asked[-1].headers["If-Range"] == (etag or modified)


def test_a_weak_etag_is_not_relied_on(server, entry):
    server.etag = 'W/"first"'
    server.answers = [cut(500)]
    fetch(entry)
    assert server.asked[-1].headers["If-Range"] == server.modified


def test_a_part_from_another_address_is_not_gone_on_from(server, entry, monkeypatch):
    server.answers = [cut(500), status(404)]
    with pytest.raises(WeightsError):
        fetch(entry)
    monkeypatch.setenv("ANYMASK_MIRROR", server.root + "/mirror/")
    assert fetch(entry).read_bytes() == CONTENT
    assert server.firsts[-1] == 0
    assert server.asked[-1].path == "/mirror/weights.pth"


@pytest.mark.parametrize("noted", ["", "{", '{"address": "http://elsewhere", "version": "1"}'])
def test_a_part_of_unknown_origin_is_not_gone_on_from(server, entry, home, noted):
    (home / "weights").mkdir(parents=True)
    (home / "weights" / "weights.pth.part").write_bytes(b"?" * 500)
    if noted:
        (home / "weights" / "weights.pth.part.json").write_text(noted)
    assert fetch(entry).read_bytes() == CONTENT
    assert server.firsts == [0]


def test_a_download_that_was_killed_is_gone_on_from(server, entry, home):
    """Ended by the system in the midst of it, as a power cut would."""
    server.answers = [Request.stall]
    process = multiprocessing.get_context("spawn").Process(target=fetch, args=(entry,))
    process.start()
    part = home / "weights" / "weights.pth.part"
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size == len(CONTENT) // 2) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    process.kill()
    process.join()
    assert not entry.path.exists()
    assert fetch(entry).read_bytes() == CONTENT
    assert server.firsts == [0, len(CONTENT) // 2]


def test_a_file_whose_end_came_but_not_its_verification(server, entry, home):
    (home / "weights").mkdir(parents=True)
    part = home / "weights" / "weights.pth.part"
    part.write_bytes(CONTENT)
    part.with_name(part.name + ".json").write_text(json.dumps({"address": server.address, "version": server.etag}))
    assert fetch(entry).read_bytes() == CONTENT
    assert server.firsts == [len(CONTENT)]


@pytest.mark.parametrize("content", [b"<html>Please log in</html>", CONTENT[:-1] + b"?", CONTENT[:-1]])
def test_wrong_content_is_refused_and_deleted(server, entry, home, content):
    server.content = content
    expected, found = (hashlib.sha256(data).hexdigest() for data in (CONTENT, content))
    with pytest.raises(WeightsError, match=f"deleted: its sha256 should be {expected} and is {found}") as caught:
        fetch(entry)
    assert server.address in str(caught.value)
    assert left(home) == set()


def test_a_lie_about_the_length_that_cuts_the_file_short_is_noticed(server, entry, home):
    server.answers = [claim(1000)]
    with pytest.raises(WeightsError, match=r"\(1000 bytes\) is not the published file"):
        fetch(entry)
    assert left(home) == set()


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_refusal_is_said_at_once_with_what_to_do(server, entry, home, pauses, code):
    server.answers = [status(code)]
    with pytest.raises(WeightsError, match=f"the server answered {code}") as caught:
        fetch(entry)
    assert pauses == []
    for part in ("sam_test", f"fetch {server.address} by", f"put it there as {home / 'weights'}", "the model pocket"):
        assert part in str(caught.value)


def test_a_busy_server_is_given_the_time_it_asks_for(server, entry, pauses):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    server.answers = [status(429, Retry_After="7"), status(503, Retry_After=date), status(503, Retry_After="soon")]
    fetch(entry)
    assert pauses[0] == 7
    assert 45 < pauses[1] <= 50
    assert pauses[2] == 8


def test_a_server_that_asks_for_an_hour_is_given_up(server, entry, pauses):
    server.answers = [status(429, Retry_After="3600")]
    with pytest.raises(WeightsError, match="answered 429"):
        fetch(entry)
    assert pauses == []


def test_without_a_network_it_is_said_at_once(entry, home, pauses):
    with socket.socket() as taken:  # nobody listens there
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/weights.pth"
        with pytest.raises(WeightsError, match="Connection refused") as caught:
            fetch(replace(entry, weights=replace(entry.weights, address=address)))
    assert pauses == []
    for part in (address, str(home / "weights"), "the model pocket"):
        assert part in str(caught.value)


def test_offline_means_no_network(server, entry, home, monkeypatch):
    monkeypatch.setenv("ANYMASK_OFFLINE", "1")
    with pytest.raises(WeightsError, match="ANYMASK_OFFLINE is set") as caught:
        located(entry)
    assert server.address in str(caught.value) and str(home / "weights") in str(caught.value)
    assert server.asked == []
    monkeypatch.setenv("ANYMASK_OFFLINE", "0")
    located(entry)


def test_a_mirror_that_is_no_address(entry, monkeypatch):
    monkeypatch.setenv("ANYMASK_MIRROR", "nonsense")
    with pytest.raises(WeightsError, match=r"nonsense/weights\.pth"):
        fetch(entry)


def test_two_processes_fetch_it_once(server, entry):
    server.answers = [slowly(0.5)]
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=fetch, args=(entry,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert entry.path.read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_threads_fetch_it_once(server, entry):
    threads = [threading.Thread(target=fetch, args=(entry,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert entry.path.read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_folder_that_cannot_be_written(entry, home):
    home.write_text("a file in the way")
    with pytest.raises(WeightsError, match=r"cannot be written \(.+\); make room, or set ANYMASK_HOME"):
        fetch(entry)


def test_a_full_disk(entry, home):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (home / "weights").mkdir(parents=True)
    (home / "weights" / "weights.pth.part").symlink_to("/dev/full")
    with pytest.raises(WeightsError, match="No space left on device"):
        fetch(entry)


def test_what_the_user_put_there_is_verified_once(entry, home, monkeypatch):
    (home / "weights").mkdir(parents=True)
    entry.path.write_bytes(CONTENT)
    read: list[Path] = []
    compute = hashes.compute
    monkeypatch.setattr(hashes, "compute", lambda path, kind: read.append(path) or compute(path, kind))
    assert located(entry) == located(entry) == entry.path
    assert read == [entry.path]
    os.utime(entry.path, ns=(1, 1))
    located(entry)
    assert read == [entry.path] * 2


def test_what_the_user_put_there_is_refused_but_kept(server, entry, home):
    (home / "weights").mkdir(parents=True)
    entry.path.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="is not the published checkpoint of sam_test") as caught:
        located(entry)
    assert "delete it" in str(caught.value) and hashlib.sha256(b"something else").hexdigest() in str(caught.value)
    assert entry.path.read_bytes() == b"something else"
    assert server.asked == []


def test_what_cannot_be_read_is_said(entry, home):
    entry.path.mkdir(parents=True)
    with pytest.raises(WeightsError, match="cannot be read"):
        located(entry)


def test_a_fresh_download_is_not_hashed_again(entry, monkeypatch):
    fetch(entry)
    monkeypatch.setattr(hashes, "compute", None)
    assert hashes.checkpoint_sha256(entry.path) == hashlib.sha256(CONTENT).hexdigest()
    located(entry)


def test_hashes_are_remembered_side_by_side_and_forgotten_with_their_files(home, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        hashes.checkpoint_sha256(tmp_path / name)
    hashes.digest(tmp_path / "b", "md5")
    known = json.loads((home / "hashes.json").read_text())
    assert known[str(tmp_path / "b")].keys() == {"identity", "sha256", "md5"}
    (tmp_path / "a").unlink()
    (tmp_path / "b").write_text("changed")
    hashes.checkpoint_sha256(tmp_path / "b")
    known = json.loads((home / "hashes.json").read_text())
    assert list(known) == [str(tmp_path / "b")]
    assert known[str(tmp_path / "b")].keys() == {"identity", "sha256"}


@pytest.mark.parametrize("memo", ["", "[]", "{broken"])
def test_a_damaged_memory_is_no_memory(home, tmp_path, memo):
    home.mkdir()
    (home / "hashes.json").write_text(memo)
    (tmp_path / "file").write_text("x")
    assert hashes.checkpoint_sha256(tmp_path / "file") == hashlib.sha256(b"x").hexdigest()


def test_hashing_works_where_nothing_can_be_remembered(home, tmp_path):
    home.write_text("a file in the way")
    (tmp_path / "file").write_text("x")
    assert hashes.checkpoint_sha256(tmp_path / "file") == hashlib.sha256(b"x").hexdigest()


def test_bundled_models_are_just_there():
    assert located(find("pocket")) == find("pocket").path
    with pytest.raises(WeightsError, match="pocket ships with anymask"):
        fetch(find("pocket"))


def test_one_line_where_nobody_watches(entry, capsys):
    located(entry)
    located(entry)
    assert capsys.readouterr().err == f"Downloading sam_test: 1 MB to {entry.path}\n"


def test_a_bar_where_somebody_watches(entry, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    located(entry)
    shown = capsys.readouterr().err
    assert "Downloading sam_test" in shown and "1.0/1.0 MB" in shown
