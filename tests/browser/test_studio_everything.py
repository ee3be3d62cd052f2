"""Finding everything: masks as they come, thinned, kept, given up."""

from __future__ import annotations

import re

import pytest
from driving import Studio, area, until
from served import ASSETS

pytestmark = pytest.mark.slow

LONG = 'anymask_jobs{lane="long"}'


@pytest.fixture
def bus(studio: Studio) -> Studio:
    return studio.choose(ASSETS / "bus.jpg")


def found(studio: Studio) -> int:
    text = studio.by("everything-bar").inner_text()
    number = re.search(r"(\d+) found|Keep (\d+)", text)
    return int(number[1] or number[2]) if number else 0


# A search that takes half a minute, so that there is time to end it.
LONG_SEARCH = {"points_per_side": 100, "points_per_batch": 16}


def test_masks_arrive_are_thinned_and_kept(bus: Studio) -> None:
    plain = bus.shot()
    bus.by("everything").click()
    during = until(lambda: found(bus) if bus.by("everything-cancel").is_visible() else 0, "masks while it runs")
    bus.by("everything-keep").wait_for()
    whole = found(bus)
    assert during > 0
    assert whole > 10
    # What was found is painted.
    assert (abs(bus.shot().astype(int) - plain.astype(int)).max(axis=2) > 4).mean() > 0.2
    bus.slide("score-slider", 0.41)
    by_score = found(bus)
    assert 0 < by_score < whole
    bus.slide("size-slider", 50)
    both = found(bus)
    assert 0 < both < by_score
    bus.by("everything-keep").click()
    objects = bus.wait("s.objects.length > 0")["objects"]
    assert len(objects) == both
    share = 10 ** (-4 + 0.5 * 3.3)
    for one in objects:
        assert one["score"] >= 0.41
        assert one["area"] >= share * 640 * 427
        assert one["area"] == area(one["rle"])
        assert one["source"] == "everything"
    assert not bus.by("everything-bar").is_visible()
    bus.press("Control+z")
    bus.wait("s.objects.length === 0")


def test_one_by_one(bus: Studio) -> None:
    bus.search_with(points_per_side=12)
    bus.press("a")
    bus.by("everything-keep").wait_for()
    whole = found(bus)
    bus.click(317, 283)  # a wheel
    state = bus.wait("s.objects.length === 1")
    assert found(bus) == whole - 1
    assert state["objects"][0]["area"] == area(state["objects"][0]["rle"])
    bus.press("Escape")
    assert not bus.by("everything-bar").is_visible()
    assert len(bus.state()["objects"]) == 1


def test_cancel_ends_the_work_of_the_server(bus: Studio) -> None:
    bus.search_with(**LONG_SEARCH)
    bus.press("a")
    until(lambda: bus.gauge(LONG) == 1, "the search")
    until(lambda: found(bus) > 0, "the first masks")
    bus.by("everything-cancel").click()
    until(lambda: bus.gauge(LONG) == 0, "the end of the work", seconds=5)
    # What was found until then can be kept; here it is given up.
    bus.by("everything-keep").wait_for()
    bus.press("Escape")
    assert not bus.by("everything-bar").is_visible()
    assert bus.state()["objects"] == []


def test_a_reload_ends_the_work_of_the_server(bus: Studio) -> None:
    bus.search_with(**LONG_SEARCH)
    bus.press("a")
    until(lambda: bus.gauge(LONG) == 1, "the search")
    bus.page.reload()
    until(lambda: bus.gauge(LONG) == 0, "the end of the work", seconds=5)
    assert bus.ready().state()["current"]["name"] == "bus.jpg"
    bus.click(430, 240)
    bus.answered()
