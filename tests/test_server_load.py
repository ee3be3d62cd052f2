"""Many clients at once, good and bad ones, against `anymask serve`: nothing is lost, and the server is as before."""

import asyncio
import importlib.util
import socket
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the server needs the serve extra")

_about = importlib.util.spec_from_file_location("load", Path(__file__).parents[1] / "benchmarks" / "load.py")
load = importlib.util.module_from_spec(_about)
sys.modules["load"] = load  # where dataclasses look for it
_about.loader.exec_module(load)

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")

SECONDS, CLIENTS = 10, 16
MEMORY = 128  # MB that the server may keep of pictures and embeddings
WORK = 600  # MB beyond that and the resting server: what two workers and the bodies under way need, generously


@pytest.mark.slow
def test_a_load_of_good_and_bad_requests(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ("--no-projects", "--log", "json", "--model", "pocket", "--memory", str(MEMORY), "--waiting", "6")
    with load.serving(port, *options, environment={"ANYMASK_HOME": str(tmp_path)}) as server:
        before = asyncio.run(load.one_answer(server.base))
        rest = server.memory("VmRSS")
        result = asyncio.run(load.mixture(server.base, CLIENTS, SECONDS, 66 << 20))
        assert result.lost == []
        assert {"upload", "predict", "hover", "cut-out", "/api/remove"} <= result.kinds.keys()
        assert all(result.kinds[kind].ms for kind in ("upload", "predict", "hover", "cut-out", "/api/remove"))
        refused = [kind for name, kind in result.kinds.items() if name.startswith("bad: ")]
        assert sum(kind.answers.total() for kind in refused) >= 10
        assert all(status.startswith("4") for kind in refused for status in kind.answers)
        assert asyncio.run(load.one_answer(server.base)) == before
        assert server.memory("VmHWM") < rest + MEMORY + WORK
        server.stop()
        assert '"level": "error"' not in server.written and "Traceback" not in server.written
