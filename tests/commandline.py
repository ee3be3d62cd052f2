"""Running the command line within a test."""

from typing import NamedTuple

import pytest

from anymask.cli import main


class Ran(NamedTuple):
    code: int
    out: str
    err: str


def ran(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ran:
    """What a command leaves: its exit code and what it wrote."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return Ran(int(left.value.code or 0), *capsys.readouterr())
