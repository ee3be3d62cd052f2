"""Make the README's and the model card's pictures from the photographs in assets/: python docs/make_images.py."""

import tempfile
from pathlib import Path

from PIL import Image

import anymask
from anymask.evaluation.plots import object_sheet, subject_sheet
from anymask.evaluation.protocol import evaluate
from anymask.images import save_image

HERE = Path(__file__).parent
ASSETS = HERE.parent / "assets"
IMAGES = HERE / "images"

SQUARE = 12  # pixels of the checkerboard that stands for transparency
GAP = 8


def checkerboard(width: int, height: int) -> Image.Image:
    """Light grey squares on white, the usual sign of nothing."""
    tile = Image.new("RGB", (2 * SQUARE, 2 * SQUARE), (255, 255, 255))
    for corner in ((0, 0), (SQUARE, SQUARE)):
        tile.paste((226, 226, 226), (*corner, corner[0] + SQUARE, corner[1] + SQUARE))
    board = Image.new("RGB", (width, height))
    for x in range(0, width, tile.width):
        for y in range(0, height, tile.height):
            board.paste(tile, (x, y))
    return board


def side_by_side(*pictures: Image.Image) -> Image.Image:
    """Pictures in a row, at the height of the first."""
    height = pictures[0].height
    scaled = [p.resize((p.width * height // p.height, height), Image.Resampling.LANCZOS) for p in pictures]
    row = Image.new("RGB", (sum(p.width for p in scaled) + GAP * (len(scaled) - 1), height), (255, 255, 255))
    x = 0
    for picture in scaled:
        row.paste(picture, (x, 0))
        x += picture.width + GAP
    return row


def cutout(remover: anymask.BackgroundRemover, path: Path) -> Image.Image:
    """The photograph, its subject over nothing, and its subject over a colour."""
    photo = Image.open(path).convert("RGB")
    cut = remover.remove(path)
    board = checkerboard(*photo.size)
    board.paste(cut, mask=cut.getchannel("A"))
    return side_by_side(photo, board, remover.remove(path, background="#f2c14e"))


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    segmenter, remover = anymask.Segmenter("pocket"), anymask.BackgroundRemover("pocket")
    street, bus = ASSETS / "street.jpg", ASSETS / "bus.jpg"
    on_street, on_bus = segmenter.encode(street), segmenter.encode(bus)
    click = on_bus.predict(points=[(430, 240)]).best.overlay(bus)
    box = on_bus.predict(box=(118, 108, 574, 322)).overlay(bus)
    pictures = {
        "cutout": cutout(remover, ASSETS / "flowers.jpg"),
        "prompts": side_by_side(click, box),
        "everything": side_by_side(on_street.everything().overlay(street), on_bus.everything().overlay(bus)),
    }
    for name, picture in pictures.items():
        save_image(IMAGES / f"{name}.png", picture)
        print(IMAGES / f"{name}.png")
    sheets()


def sheets() -> None:
    """The model card's: what pocket makes of the labelled objects of these photographs, good and bad."""
    result = evaluate(ASSETS)
    with tempfile.TemporaryDirectory() as folder:
        for name, draw in (("objects", object_sheet), ("subjects", subject_sheet)):
            draw(result, Path(folder) / f"{name}.png")
            with Image.open(Path(folder) / f"{name}.png") as sheet:
                save_image(IMAGES / f"pocket_{name}.jpg", sheet.convert("RGB"))
            print(IMAGES / f"pocket_{name}.jpg")


if __name__ == "__main__":
    main()
