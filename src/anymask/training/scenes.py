"""Where training scenes come from: photographs with labels, photographs with things pasted in, and layered shapes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from anymask import rle
from anymask.errors import ImageError
from anymask.formats.sa1b import Record, read_folder
from anymask.training.samples import Scene

MAX_MASKS = 24  # decoded per picture; crowded pictures give others the next time
SMALLEST_SHARE = 1 / 20_000  # of the picture; masks below are not worth a prompt


@dataclass
class SceneSource:
    """Draws scenes.

    Attributes:
        records: labelled pictures.
        cutouts: RGBA pictures to paste.
        set_weights: by folder name, multiplies the chance of a data set's pictures.
        whole_sets: folder names of sets without subjects whose pictures show their large objects.
        composite_share, shapes_share: of pictures with things pasted in, and of layered shapes.
    """

    records: Sequence[Record]
    cutouts: Sequence[Path] = ()
    set_weights: dict[str, float] = field(default_factory=dict)
    whole_sets: Sequence[str] = ()
    composite_share: float = 0.3
    shapes_share: float = 0.08

    def __post_init__(self) -> None:
        weights = np.array([self.set_weights.get(_set_of(r), 1.0) for r in self.records])
        self._chances = weights / weights.sum()
        self._things = [r for r in self.records if r.subject or any(a.role == "object" for a in r.annotations)]

    @classmethod
    def from_folders(
        cls,
        roots: Sequence[str | Path],
        set_weights: dict[str, float],
        held_out: Sequence[str] = (),
        whole_sets: Sequence[str] = (),
    ) -> "SceneSource":
        """Read every SA-1B style folder under the roots; RGBA WebP or PNG files without JSON become cut-outs.

        Pictures whose stem is in `held_out` are left out. Raises FormatError when a root holds no labelled pictures.
        """
        records = [record for root in roots for record in read_folder(root) if record.path.stem not in held_out]
        cutouts = [
            path
            for root in roots
            for path in sorted(Path(root).rglob("*"))
            if path.suffix in (".webp", ".png")
            and not path.with_suffix(".json").exists()
            and not any(part.startswith(".") for part in path.relative_to(root).parts)
        ]
        return cls(records, cutouts, set_weights, whole_sets)

    def draw(self, rng: np.random.Generator) -> Scene:
        """One scene at its own size."""
        kind = rng.random()
        if kind < self.shapes_share:
            return layered_shapes(rng)
        record = self.records[int(rng.choice(len(self.records), p=self._chances))]
        scene = photograph(record, rng)
        if scene.subject is None and _set_of(record) in self.whole_sets:
            scene.subject = _large_objects(scene)
        if kind < self.shapes_share + self.composite_share:
            for _ in range(int(rng.integers(1, 4))):
                self._paste_something(scene, rng)
        return scene

    def _paste_something(self, scene: Scene, rng: np.random.Generator) -> None:
        if self.cutouts and rng.random() < 0.5:
            rgba = cv2.imread(str(self.cutouts[int(rng.integers(len(self.cutouts)))]), cv2.IMREAD_UNCHANGED)
            if rgba is None or rgba.ndim != 3 or rgba.shape[2] != 4:
                return
            rgba = cv2.cvtColor(rgba, cv2.COLOR_BGRA2RGBA)
        else:
            thing = _thing_of(self._things[int(rng.integers(len(self._things)))], rng)
            if thing is None:
                return
            rgba = thing
        paste(scene, rgba, rng)


def _set_of(record: Record) -> str:
    return record.path.parent.name


def _decode(code: rle.RLE) -> np.ndarray:
    """uint8 [H, W] of 0 and 1, as OpenCV wants it."""
    return np.ascontiguousarray(rle.decode(code)).view(np.uint8)


def _read_rgb(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise ImageError(f"{path} cannot be read as a picture.")
    return picture


def photograph(record: Record, rng: np.random.Generator) -> Scene:
    """A labelled picture as it is, with at most MAX_MASKS of its masks."""
    image = _read_rgb(record.path)
    smallest = SMALLEST_SHARE * record.height * record.width
    eligible = [a for a in record.annotations if a.area >= smallest]
    if len(eligible) > MAX_MASKS:
        eligible = [eligible[i] for i in rng.choice(len(eligible), MAX_MASKS, replace=False)]
    return Scene(
        image,
        [_decode(a.rle) for a in eligible],
        [a.role for a in eligible],
        None if record.subject is None else _decode(record.subject),
        None if record.ignore is None else _decode(record.ignore),
    )


def _large_objects(scene: Scene) -> np.ndarray | None:
    """The union of the objects over 5% of the picture, if it covers 10 to 80%."""
    pixels = scene.image.shape[0] * scene.image.shape[1]
    pairs = zip(scene.masks, scene.roles, strict=True)
    large = [mask for mask, role in pairs if role == "object" and int(mask.sum()) > 0.05 * pixels]
    if not large:
        return None
    union: np.ndarray = np.maximum.reduce(large)
    return union if 0.1 * pixels < int(union.sum()) < 0.8 * pixels else None


def _thing_of(record: Record, rng: np.random.Generator) -> np.ndarray | None:
    """One object of another picture as RGBA, its edge softened and drawn in a little; None where it is too small to be
    worth it."""
    things = [a.rle for a in record.annotations if a.role == "object" and a.area > 900]
    if record.subject is not None and (not things or rng.random() < 0.5):
        things = [record.subject]
    if not things:
        return None
    mask = _decode(things[int(rng.integers(len(things)))])
    x, y, width, height = cv2.boundingRect(mask)
    cut = slice(y, y + height), slice(x, x + width)
    alpha = cv2.GaussianBlur(
        cv2.erode(mask[cut] * np.uint8(255), np.ones((3, 3), np.uint8)), (0, 0), rng.uniform(0.6, 1.4)
    )
    return np.dstack([_read_rgb(record.path)[cut], alpha])


def paste(scene: Scene, rgba: np.ndarray, rng: np.random.Generator) -> None:
    """Lay a cut-out over the scene, in place: sometimes with a shadow, turned, out of focus. Hidden masks shrink."""
    height, width = scene.image.shape[:2]
    share = rng.uniform(0.35, 0.95) if rng.random() < 0.5 else np.exp(rng.uniform(np.log(0.08), np.log(0.4)))
    size = share * max(height, width)
    scale = min(size / max(rgba.shape[:2]), 2.5)
    angle = rng.normal(0, 15)
    x, y = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.9) * height
    matrix = np.asarray(cv2.getRotationMatrix2D((rgba.shape[1] / 2, rgba.shape[0] / 2), angle, scale), np.float64)
    matrix[:, 2] += [x - rgba.shape[1] / 2, y - rgba.shape[0] / 2]
    if scale < 0.6:
        rgba = cv2.GaussianBlur(rgba, (0, 0), 0.4 / scale)
    if rng.random() < 0.5:
        rgba = rgba[:, ::-1]
    layer = cv2.warpAffine(np.ascontiguousarray(rgba), matrix, (width, height), flags=cv2.INTER_LINEAR)
    if rng.random() < 0.2:
        layer = cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.5, 2.0))
    alpha = layer[..., 3]
    covered = alpha > 127
    if int(covered.sum()) < 30:
        return
    background = scene.image.astype(np.float32)
    if rng.random() < 0.5:
        shift = rng.uniform(-0.15, 0.15, 2) * size
        shadow = cv2.warpAffine(alpha, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (width, height))
        shadow = cv2.GaussianBlur(shadow, (0, 0), 0.02 * size + 1)
        background *= 1 - shadow[..., None].astype(np.float32) * (rng.uniform(0.2, 0.7) / 255)
    weight = alpha[..., None].astype(np.float32) / 255
    scene.image = (background * (1 - weight) + layer[..., :3] * weight + 0.5).astype(np.uint8)
    visible = (~covered).astype(np.uint8)
    kept = [(m * visible, r) for m, r in zip(scene.masks, scene.roles, strict=True)]
    kept = [(m, r) for m, r in kept if int(np.count_nonzero(m)) > 60]
    scene.masks = [m for m, _ in kept] + [alpha]
    scene.roles = [r for _, r in kept] + ["object"]
    if scene.ignore is not None:
        scene.ignore = scene.ignore * visible
    area = float(covered.mean())
    if scene.subject is not None and area < 0.04:
        scene.subject = scene.subject * visible
    elif scene.subject is not None or area > 0.08:
        before = scene.subject if scene.subject is not None else np.zeros_like(alpha)
        before = before * np.uint8(255) if before.max() == 1 else before
        scene.subject = np.maximum(before * visible, alpha)


def layered_shapes(rng: np.random.Generator, side: int = 512) -> Scene:
    """Textured shapes over one another ("dead leaves"): blobs, polygons, rings with holes, thin strokes, letters."""
    image = _texture(side, side, rng)
    owner = np.zeros((side, side), np.int32)
    count = int(rng.integers(8, 30))
    for number in range(1, count + 1):
        shape = _shape(side, rng)
        x, y, width, height = cv2.boundingRect(shape)
        if width * height == 0:
            continue
        window = slice(y, y + height), slice(x, x + width)
        soft = cv2.GaussianBlur(shape[window], (0, 0), 0.7)[..., None].astype(np.float32) / 255
        image[window] = (image[window] * (1 - soft) + _texture(height, width, rng) * soft).astype(np.uint8)
        owner[shape > 127] = number
    masks = [(owner == n).astype(np.uint8) for n in range(1, count + 1)]
    masks = [m for m in masks if np.count_nonzero(m) > 80]
    return Scene(image, masks, ["object"] * len(masks))


def _texture(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A colour with smooth or fine variation, perhaps stripes: uint8 [height, width, 3]."""
    colour = rng.uniform(20, 235, 3).astype(np.float32)
    cells = int(rng.choice([2, 4, 16, 64, 128]))
    noise = rng.normal(0, rng.uniform(2, 40), (cells, cells, int(rng.choice([1, 3]))))
    variation = cv2.resize(noise.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    texture = colour + variation.reshape(height, width, -1)
    if rng.random() < 0.25:
        angle, period = rng.uniform(0, np.pi), rng.uniform(6, 60)
        ys, xs = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
        stripes = np.sin(
            (xs * np.float32(np.cos(angle)) + ys * np.float32(np.sin(angle))) * np.float32(2 * np.pi / period)
        )
        texture = texture + stripes[..., None] * rng.uniform(5, 50, 3).astype(np.float32)
    result: np.ndarray = np.clip(texture, 0, 255).astype(np.uint8)
    return result


def _shape(side: int, rng: np.random.Generator) -> np.ndarray:
    """One shape, antialiased, 0..255: uint8 [side, side]."""
    canvas = np.zeros((side, side), np.uint8)
    centre = rng.uniform(0, side, 2)
    radius = float(np.exp(rng.uniform(np.log(12), np.log(side / 2.5))))
    kind = rng.choice(["blob", "polygon", "ellipse", "ring", "stroke", "text"], p=[0.3, 0.2, 0.2, 0.1, 0.12, 0.08])
    at = (int(centre[0]), int(centre[1]))
    if kind in ("blob", "polygon"):
        corners = int(rng.integers(3, 8)) if kind == "polygon" else 48
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners)) if kind == "polygon" else np.linspace(0, 2 * np.pi, 48)
        reach = np.full(corners, 1.0)
        for wave in range(2, 6):
            reach += rng.normal(0, 0.35 / wave) * np.cos(wave * angles + rng.uniform(0, 6.3))
        ring = centre + radius * np.maximum(reach, 0.15)[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        cv2.fillPoly(canvas, [np.rint(ring * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    elif kind in ("ellipse", "ring"):
        axes = (int(radius) + 1, int(radius * rng.uniform(0.3, 1)) + 1)
        thickness = -1 if kind == "ellipse" else int(max(2, radius * rng.uniform(0.1, 0.4)))
        cv2.ellipse(canvas, at, axes, rng.uniform(0, 180), 0, 360, 255, thickness, cv2.LINE_AA)
    elif kind == "stroke":
        walk = centre + np.cumsum(rng.normal(0, radius / 4, (12, 2)), axis=0)
        cv2.polylines(canvas, [np.rint(walk).astype(np.int32)], False, 255, int(rng.integers(2, 10)), cv2.LINE_AA)
    else:
        letters = "".join(chr(int(c)) for c in rng.integers(48, 91, int(rng.integers(1, 4))))
        scale = radius / 30 + 0.5
        start = (int(centre[0] - radius), int(centre[1]))
        cv2.putText(canvas, letters, start, cv2.FONT_HERSHEY_DUPLEX, scale, 255, max(2, int(scale * 3)), cv2.LINE_AA)
    return canvas
