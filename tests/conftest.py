"""What holds for all tests, and servers that several of them ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from starlette.testclient import TestClient

settings.register_profile("no clock", deadline=None)  # a slow machine is no fault of the code
settings.load_profile("no clock")


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
