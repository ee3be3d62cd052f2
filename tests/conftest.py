"""What holds for all tests, what several of them share, and servers that several of them ask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from starlette.testclient import TestClient

settings.register_profile("no clock", deadline=None)  # a slow machine is no fault of the code
settings.load_profile("no clock")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run, the same in all processes of it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def shared_home(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folder as `ANYMASK_HOME`: graphs that one test of this run has made no other makes again.

    For tests of what graphs compute. Those of how they are made and kept have homes of their own.
    """
    monkeypatch.setenv("ANYMASK_HOME", str(shared / "home"))
    return shared


@pytest.fixture(scope="module")
def server() -> Iterator[TestClient]:
    """A server within this process, with pocket."""
    from served import client  # with all of FastAPI, which most tests do without

    with client() as one:
        yield one


@pytest.fixture(scope="module")
def bus(server: TestClient) -> str:
    """The id of the sample picture of the bus on that server."""
    from served import sent

    return sent(server)
