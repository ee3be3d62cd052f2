"""The studio without a mouse, and for those who do not see it: keys, names, roles, contrast."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from driving import Studio
from served import ASSETS

pytestmark = pytest.mark.slow

TEXT = ("--text", "--muted", "--danger", "--accent")
GROUNDS = ("--bg", "--surface", "--raised", "--hover")


def test_an_object_by_keys_alone(studio: Studio) -> None:
    page = studio.page
    page.keyboard.press("Tab")  # into the page
    with page.expect_file_chooser() as chooser:
        studio.press("Control+o")
    chooser.value.set_files(ASSETS / "bus.jpg")
    studio.ready()
    for _ in range(30):
        if page.evaluate("document.activeElement?.matches('canvas.canvas')"):
            break
        studio.press("Tab")
    else:
        raise AssertionError("Tab does not reach the picture")
    # The crosshair begins in the middle, goes on by small and large steps, and says where it is.
    studio.press("ArrowRight")
    studio.says(re.compile(r"Column 320, row \d+"))
    studio.press("ArrowRight", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowRight")
    studio.settle()
    words = studio.by("status").inner_text()
    found = re.search(r"Column (\d+), row (\d+)", words)
    assert found, words
    x, y = int(found[1]), int(found[2])
    assert x > 340
    studio.wait(f"s.hover && s.hover.at[0] === {x}")
    studio.press("Space")
    made = studio.answered()
    assert made["prompt"] == {"points": [[x, y]], "labels": [1], "box": None}
    assert made["area"] == studio.predict(points=[[x, y]], labels=[1])[0]["area"]
    studio.says("Mask:")
    # Tab goes through the candidates; Shift and Tab leaves the picture, so that nobody is caught in it.
    studio.press("Tab")
    studio.wait("s.pending.chosen === 1")
    studio.press("Shift+C")
    studio.wait("s.pending.chosen === 0")
    studio.press("Shift+Tab")
    assert not page.evaluate("document.activeElement.matches('canvas')")
    studio.by("canvas").focus()
    studio.press("Shift+ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowLeft", "Shift+Space")
    assert studio.wait("s.pending.prompt.labels.length === 2")["pending"]["prompt"]["labels"] == [1, 0]
    studio.answered()
    studio.press("n")
    page.keyboard.type("bus")
    studio.press("Enter")
    kept = studio.wait("!s.pending && s.objects.length === 1")["objects"][0]
    assert kept["name"] == "bus"
    studio.says("Kept bus")
    studio.press("Control+z", "Control+Shift+z")
    assert studio.wait("s.objects.length === 1")["objects"] == [kept]
    studio.press("Control+s")
    page.get_by_role("dialog", name="Export the objects").wait_for()
    studio.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")


def test_the_cheat_sheet(studio: Studio) -> None:
    studio.choose(ASSETS / "bus.jpg")
    studio.press("?")
    sheet = studio.page.get_by_role("dialog", name="Keys and commands")
    sheet.wait_for()
    text = sheet.inner_text()
    for key in ("Ctrl+Z", "Enter", "Esc", "Space", "Tab", "PgDn", "Alt+↑"):
        assert key in text, key
    # The search is where the keys go, and finds by word and by key.
    studio.page.keyboard.type("eraser")
    assert sheet.locator("dt").all_inner_texts() == ["Eraser"]
    studio.press("Escape", "Escape")  # the first one empties the search
    sheet.wait_for(state="hidden")
    studio.settle()
    # What the sheet says works: a key for each tool.
    studio.press("?")
    sheet.wait_for()
    pairs = {
        row.locator("dt").inner_text(): row.locator("kbd").first.inner_text() for row in sheet.locator("dl > div").all()
    }
    studio.press("Escape")
    sheet.wait_for(state="hidden")
    tools = {
        "Select objects": "select",
        "Point at objects": "point",
        "Box around objects": "box",
        "Brush": "brush",
        "Eraser": "eraser",
    }
    for title, name in tools.items():
        studio.press(pairs[title].lower())
        assert studio.state()["tool"] == name, title
    before = studio.state()["view"]["scale"]
    studio.press(pairs["Zoom in"])
    assert studio.state()["view"]["scale"] > before
    studio.press(pairs["Whole picture"])
    assert studio.state()["view"]["scale"] == pytest.approx(before)


def test_no_two_commands_of_the_sheet_share_a_key_and_a_moment(studio: Studio) -> None:
    """Letters are for one thing each; Enter, Escape, Tab and the like go by what there is."""
    studio.choose(ASSETS / "bus.jpg")
    studio.press("?")
    sheet = studio.page.get_by_role("dialog", name="Keys and commands")
    sheet.wait_for()
    keys = [one for one in sheet.locator("kbd").all_inner_texts() if len(one) == 1 and one.isalpha()]
    assert len(keys) > 12
    assert sorted(keys) == sorted(set(keys))


NAMES = (Path(__file__).parent / "names.js").read_text()


def test_everything_has_a_name_and_its_role(studio: Studio) -> None:
    page = studio.page
    assert page.evaluate(NAMES) == []
    studio.choose(ASSETS / "bus.jpg", ASSETS / "street.jpg")
    studio.box(118, 108, 574, 322)
    assert page.evaluate(NAMES) == []
    studio.keep()
    studio.press("F2")
    assert page.evaluate(NAMES) == []
    studio.press("Escape", "b")
    for tab in ("background", "project", "objects"):
        studio.by(f"tab-{tab}").click()
        assert page.evaluate(NAMES) == [], tab
    for command in ("help.keys", "help.settings", "help.about", "exchange.export"):
        studio.by(command).click()
        page.get_by_role("dialog").wait_for()
        assert page.evaluate(NAMES) == [], command
        page.get_by_role("button", name="Close", exact=True).click()
    studio.search_with(points_per_side=8)
    studio.press("a")
    studio.by("everything-keep").wait_for()
    assert page.evaluate(NAMES) == []


def test_focus_goes_where_it_was(studio: Studio) -> None:
    studio.choose(ASSETS / "bus.jpg")
    button = studio.by("help.settings")
    button.focus()
    studio.press("Enter")
    studio.page.get_by_role("dialog", name="Settings").wait_for()
    for _ in range(30):  # what lies behind cannot be reached
        studio.press("Tab")
        assert studio.page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('dialog[open]')"
        )
    studio.press("Escape")
    assert button.evaluate("(element) => element === document.activeElement")
    # The tabs go by arrow keys.
    studio.by("tab-objects").focus()
    studio.press("ArrowRight")
    assert studio.by("tab-background").get_attribute("aria-selected") == "true"
    assert studio.by("tab-background").evaluate("(element) => element === document.activeElement")


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_stands_out(studio: Studio, theme: str) -> None:
    studio.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    studio.page.locator(f'html[data-theme="{theme}"]').wait_for()
    read = "(name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"
    for token in TEXT:
        for ground in GROUNDS:
            ratio = contrast(studio.page.evaluate(read, token), studio.page.evaluate(read, ground))
            assert ratio >= 4.5, f"{theme}: {token} on {ground} is {ratio:.2f}"
    assert contrast(studio.page.evaluate(read, "--on-accent"), studio.page.evaluate(read, "--accent")) >= 4.5


def test_the_choice_of_a_theme_is_kept(studio: Studio) -> None:
    light = studio.page.locator('html[data-theme="light"]')
    studio.by("theme").click()
    light.wait_for()
    studio.page.reload()
    studio.wait("s.live === 'open'")
    light.wait_for()


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two colours, #rrggbb."""

    def luminance(color: str) -> float:
        if len(color) == 4:  # "#fff", as the build writes it
            color = "#" + "".join(2 * digit for digit in color[1:])
        parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    a, b = luminance(one), luminance(other)
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)
