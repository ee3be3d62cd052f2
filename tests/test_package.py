"""What `import anymask` gives, and what it does not load."""

import subprocess
import sys

import pytest

import anymask

HEAVY = {"torch", "openvino", "cv2", "pycocotools", "numpy", "PIL", "rich", "typer"}


def modules_after(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after one statement."""
    code = f"{statement}\nimport sys\nprint(*sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in found.stdout.split()}


def test_import_loads_nothing_heavy() -> None:
    assert not modules_after("import anymask") & HEAVY


def test_a_prompt_needs_no_engine() -> None:
    loaded = modules_after("import anymask; anymask.Prompt(points=[(1, 2)])")
    assert "numpy" in loaded
    assert not loaded & {"torch", "openvino", "cv2", "pycocotools"}


@pytest.mark.parametrize("name", anymask.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(anymask, name) is not None
    assert name in dir(anymask)


def test_errors_are_one_family() -> None:
    names = ["ImageError", "PromptError", "WeightsError", "ModelError", "FormatError", "MissingExtraError"]
    assert all(issubclass(getattr(anymask, name), anymask.AnymaskError) for name in names)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="segmentor"):
        anymask.segmentor  # noqa: B018
