"""Prompts: what is accepted, and that everything else is refused in a sentence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anymask.errors import AnymaskError, PromptError
from anymask.prompts import Prompt


def test_lists_become_arrays() -> None:
    prompt = Prompt(points=[(1, 2), (3.5, 4)], labels=[1, 0], box=(0, 1, 5, 6), mask=[[0.5, -1.0], [2.0, 3.0]])
    assert prompt.points.dtype == np.float32
    assert prompt.points.tolist() == [[1, 2], [3.5, 4]]
    assert prompt.labels.tolist() == [1, 0]
    assert prompt.box is not None
    assert prompt.box.tolist() == [0, 1, 5, 6]
    assert prompt.mask is not None
    assert prompt.mask.tolist() == [[0.5, -1], [2, 3]]


def test_what_is_left_out() -> None:
    assert Prompt(points=[(1, 2), (3, 4)]).labels.tolist() == [1, 1]
    prompt = Prompt(box=[0, 0, 1, 1])
    assert prompt.points.shape == (0, 2)
    assert prompt.labels.shape == (0,)
    assert prompt.mask is None
    assert Prompt(points=[], box=[0, 0, 1, 1]).points.shape == (0, 2)
    squeezed = Prompt(mask=np.zeros((1, 4, 4))).mask
    assert squeezed is not None
    assert squeezed.shape == (4, 4)
    assert Prompt(points=[(1, 2)], labels=[True]).labels.tolist() == [1]


def test_a_prompt_keeps_its_own_copy_and_cannot_be_assigned_to() -> None:
    points = np.array([[1, 2]], np.float32)
    prompt = Prompt(points=points)
    points[:] = 9
    assert prompt.points.tolist() == [[1, 2]]
    with pytest.raises(AttributeError):
        prompt.box = points  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "empty"),
        ({"points": []}, "empty"),
        ({"points": (1, 2)}, r"list of \(x, y\) pairs, not an array of shape \(2,\)"),
        ({"points": [(1, 2, 3)]}, "pairs"),
        ({"points": [(1, 2), (3,)]}, "rows of equal length"),
        ({"points": "here"}, "not 'here'"),
        ({"points": [(1, np.nan)]}, "NaN"),
        ({"points": [(1, np.inf)]}, "infinity"),
        ({"points": [(1, 2)], "labels": [1, 0]}, "There are 1 points, so there must be 1 labels"),
        ({"points": [(1, 2)], "labels": 1}, "labels"),
        ({"points": [(1, 2)], "labels": [2]}, r"1 \(foreground\) or 0 \(background\), not 2"),
        ({"points": [(1, 2)], "labels": [0.5]}, "not 0.5"),
        ({"points": [(1, 2)], "labels": [np.nan]}, "NaN"),
        ({"labels": [1], "box": (0, 0, 1, 1)}, "There are 0 points"),
        ({"box": (0, 0, 1)}, "four numbers"),
        ({"box": [(0, 0, 1, 1)]}, "four numbers"),
        ({"box": (0, 0, 0, 5)}, r"The box \(0, 0, 0, 5\) has no area"),
        ({"box": (5, 5, 1, 1)}, "no area"),
        ({"box": (0, 0, np.nan, 5)}, "NaN"),
        ({"mask": np.zeros((2, 3, 3))}, r"shape \(2, 3, 3\)"),
        ({"mask": np.zeros((0, 3))}, "shape"),
        ({"mask": np.full((3, 3), np.nan)}, "NaN"),
        ({"points": [(1, {})]}, "numbers"),
    ],
)
def test_refused(arguments: dict, message: str) -> None:
    with pytest.raises(PromptError, match=message) as caught:
        Prompt(**arguments)
    assert isinstance(caught.value, AnymaskError)
    assert "\n" not in str(caught.value)


def test_points_must_lie_on_the_picture_edges_included() -> None:
    prompt = Prompt(points=[(0, 0), (20, 10)])
    assert prompt.check(10, 20) is prompt
    for x, y in [(20.5, 5), (5, 10.5), (-0.1, 5), (5, -0.1)]:
        with pytest.raises(PromptError, match=rf"\({x:g}, {y:g}\) lies outside of the picture of 20 x 10"):
            Prompt(points=[(1, 1), (x, y)]).check(10, 20)


coordinate = st.floats(-30, 30, width=32)


@given(coordinate, coordinate, coordinate, coordinate)
def test_a_box_is_clipped_or_refused(x0: float, y0: float, x1: float, y1: float) -> None:
    height, width = 10, 20
    inside = max(x0, 0) < min(x1, width) and max(y0, 0) < min(y1, height)
    if not (x0 < x1 and y0 < y1):
        with pytest.raises(PromptError, match="no area"):
            Prompt(box=(x0, y0, x1, y1))
    elif not inside:
        with pytest.raises(PromptError, match="lies outside of the picture"):
            Prompt(box=(x0, y0, x1, y1)).check(height, width)
    else:
        box = Prompt(points=[(1, 1)], box=(x0, y0, x1, y1)).check(height, width).box
        assert box is not None
        assert box.tolist() == [max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)]
