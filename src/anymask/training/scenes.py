"""Where training scenes come from: photographs with labels, photographs with things pasted in, and made-up scenes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from anymask import rle
from anymask.errors import ImageError
from anymask.formats.sa1b import Record, read_folder
from anymask.training.generated.scene import generate_scene
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
        composite_share, generated_share: of pictures with things pasted in, and of scenes that are made up.
        close_share: of samples that are a close look at one of the masks.
    """

    records: Sequence[Record]
    cutouts: Sequence[Path] = ()
    set_weights: dict[str, float] = field(default_factory=dict)
    whole_sets: Sequence[str] = ()
    composite_share: float = 0.35
    generated_share: float = 0.2
    close_share: float = 0.5

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
        **shares: float,
    ) -> "SceneSource":
        """Read every SA-1B style folder under the roots; RGBA WebP or PNG files without JSON become cut-outs.

        Pictures whose stem is in `held_out` are left out. `shares` are the class's own. Raises FormatError when a root
        holds no labelled pictures.
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
        return cls(records, cutouts, set_weights, whole_sets, **shares)

    def draw(self, rng: np.random.Generator) -> Scene:
        """One scene at its own size."""
        kind = rng.random()
        if kind < self.generated_share:
            return generate_scene(rng, photographs=self._photograph)
        record = self.records[int(rng.choice(len(self.records), p=self._chances))]
        scene = photograph(record, rng)
        if scene.subject is None and _set_of(record) in self.whole_sets:
            scene.subject = _large_objects(scene)
        if kind < self.generated_share + self.composite_share:
            for _ in range(int(rng.integers(1, 4))):
                self._paste_something(scene, rng)
        return scene

    def _photograph(self, rng: np.random.Generator) -> np.ndarray | None:
        """Any picture, for its textures."""
        return cv2.imread(str(self.records[int(rng.integers(len(self.records)))].path), cv2.IMREAD_COLOR_RGB)

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
    window = _reached(matrix, rgba.shape[:2], 0.21 * size + 8, (height, width))
    rows, columns = window
    matrix[:, 2] -= columns.start, rows.start
    part = scene.image[window]
    extent = (part.shape[1], part.shape[0])
    if min(extent) < 2:
        return
    if scale < 0.6:
        rgba = cv2.GaussianBlur(rgba, (0, 0), 0.4 / scale)
    if rng.random() < 0.5:
        rgba = rgba[:, ::-1]
    layer = cv2.warpAffine(np.ascontiguousarray(rgba), matrix, extent, flags=cv2.INTER_LINEAR)
    if rng.random() < 0.2:
        layer = cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.5, 2.0))
    alpha = layer[..., 3]
    covered = alpha > 127
    if int(covered.sum()) < 30:
        return
    background = part.astype(np.float32)
    if rng.random() < 0.5:
        shift = rng.uniform(-0.15, 0.15, 2) * size
        shadow = cv2.warpAffine(alpha, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), extent)
        shadow = cv2.GaussianBlur(shadow, (0, 0), 0.02 * size + 1)
        background *= 1 - shadow[..., None].astype(np.float32) * (rng.uniform(0.2, 0.7) / 255)
    weight = alpha[..., None].astype(np.float32) / 255
    scene.image[window] = (background * (1 - weight) + layer[..., :3] * weight + 0.5).astype(np.uint8)
    kept = [(_hidden(mask, window, covered), role) for mask, role in zip(scene.masks, scene.roles, strict=True)]
    kept = [(mask, role) for mask, role in kept if int(np.count_nonzero(mask)) > 60]
    pasted = np.zeros((height, width), np.uint8)
    pasted[window] = alpha
    scene.masks = [mask for mask, _ in kept] + [pasted]
    scene.roles = [role for _, role in kept] + ["object"]
    if scene.ignore is not None:
        scene.ignore = _hidden(scene.ignore, window, covered)
    area = float(covered.sum()) / (height * width)
    if scene.subject is not None and area < 0.04:
        scene.subject = _hidden(scene.subject, window, covered)
    elif scene.subject is not None or area > 0.08:
        before = scene.subject if scene.subject is not None else np.zeros_like(pasted)
        before = before * np.uint8(255) if before.max() == 1 else before
        scene.subject = np.maximum(_hidden(before, window, covered), pasted)


def _reached(matrix: np.ndarray, shape: tuple[int, ...], margin: float, size: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of a picture of `size` that a layer of `shape` reaches through a matrix, and a margin."""
    h, w = shape
    corners = np.array([[0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1]]) @ matrix.T
    low = np.floor(corners.min(axis=0) - margin).astype(int)
    high = np.ceil(corners.max(axis=0) + margin).astype(int)
    (x0, x1), (y0, y1) = (np.clip([low[axis], high[axis]], 0, size[1 - axis]) for axis in (0, 1))
    return slice(int(y0), int(y1)), slice(int(x0), int(x1))


def _hidden(mask: np.ndarray, window: tuple[slice, slice], covered: np.ndarray) -> np.ndarray:
    """A copy of a mask without what is covered within a window."""
    mask = mask.copy()
    mask[window][covered] = 0
    return mask
