"""Pictures that clients have sent: their files on the disk, their pixels and embeddings in memory, both bounded."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from anymask.errors import ImageError, PictureSizeError
from anymask.images import Picture, read_header, read_picture
from anymask.segmenter import EncodedImage
from anymask.server.cache import Cache
from anymask.server.errors import Full, Gone, NotFound, TooLarge
from anymask.server.models import Models
from anymask.server.settings import Settings

REMEMBERED = 100_000  # ids of pictures that were dropped
CHUNK = 1 << 20


@dataclass(frozen=True)
class PictureInfo:
    """A picture that is known: its id, its size upright in pixels, its file, and whether that is ours to delete."""

    id: str
    width: int
    height: int
    bytes: int
    format: str
    path: Path
    owned: bool

    def json(self) -> dict[str, Any]:
        """What clients are told."""
        return {name: value for name, value in asdict(self).items() if name not in ("path", "owned")}


class PictureStore:
    """Pictures by id. The same bytes have the same id, so that sending a picture twice costs nothing.

    An embedding that was dropped is made again when it is asked for; a picture that was dropped is `Gone`, and has to
    be sent again.
    """

    def __init__(self, settings: Settings, models: Models) -> None:
        self._settings, self._models = settings, models
        self.memory = Cache(settings.memory)
        self.folder = Path(tempfile.mkdtemp(prefix="anymask-"))
        self._pictures: OrderedDict[str, PictureInfo] = OrderedDict()
        self._dropped: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self.disk = 0

    def close(self) -> None:
        """Delete what clients have sent."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def upload(self) -> Iterator[Path]:
        """A new file for a body that is on its way, deleted in the end unless `add` took it over. Raises Full."""
        try:
            handle, name = tempfile.mkstemp(dir=self.folder, prefix="upload-")
            os.close(handle)
        except OSError as error:
            raise Full(f"The server cannot keep the picture ({error.strerror}).") from error
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def add(self, upload: Path) -> PictureInfo:
        """Take over a file that a client has sent. It is read once as a whole, so that what has an id is a picture.

        Raises:
            ImageError: it is none, or damaged. TooLarge: it has too many pixels. The file is deleted then.
        """
        try:
            identity = _digest(upload)
            known = self._known(identity)
            if known is not None:
                return known
            info = self._seen(identity, upload, self.folder / identity, owned=True)
            upload.replace(info.path)
        finally:
            upload.unlink(missing_ok=True)
        self._remember(info)
        return info

    def add_path(self, path: Path) -> PictureInfo:
        """Make a file known that lies on this machine, and stays there. Raises as `add`."""
        try:
            identity = _digest(path)
        except OSError as error:
            raise ImageError(f"{path.name} cannot be read ({error.strerror}).") from error
        known = self._known(identity)
        if known is not None and (known.owned or known.path == path):
            return known
        info = self._seen(identity, path, path, owned=False)
        self._remember(info)
        return info

    def info(self, identity: str) -> PictureInfo:
        """What is known of a picture. Raises NotFound or Gone."""
        known = self._known(identity)
        if known is not None:
            return known
        if identity in self._dropped:
            raise Gone("This picture was dropped to make room; send it again.")
        raise NotFound("There is no picture with this id; send it first.")

    def drop(self, identity: str) -> None:
        """Forget a picture and all that was made of it. Raises NotFound or Gone."""
        self._forget(self.info(identity))

    def picture(self, identity: str) -> Picture:
        """A picture's pixels. Raises NotFound or Gone."""
        info = self.info(identity)
        return self.memory.get_or_make(("picture", identity), lambda: self._read(info), _picture_bytes)

    def encoded(self, identity: str, model: str) -> EncodedImage:
        """What a model's encoder makes of a picture, ready for prompts. Raises as `picture` and as `Models.segmenter`.

        It knows its pixels only as long as they are kept: see `with_pixels`.
        """

        def make() -> EncodedImage:
            image = self._models.segmenter(model).encode(self.picture(identity).rgb)
            bare = EncodedImage(image.segmenter, image.placement, image.features)
            _ = bare.embedding
            return bare

        self.info(identity)
        return self.memory.get_or_make(("embedding", identity, model), make, _embedding_bytes)

    def ready(self, identity: str, model: str) -> EncodedImage | None:
        """The same if it is there already, else None: never slow."""
        self.info(identity)
        found: EncodedImage | None = self.memory.get(("embedding", identity, model))
        return found

    def with_pixels(self, identity: str, model: str) -> EncodedImage:
        """The same with the picture's pixels, which crops need."""
        image = self.encoded(identity, model)
        whole = EncodedImage(image.segmenter, image.placement, image.features, self.picture(identity).rgb)
        whole.embedding = image.embedding
        return whole

    def _seen(self, identity: str, source: Path, path: Path, owned: bool) -> PictureInfo:
        limit = self._settings.max_pixels
        try:
            width, height, form = read_header(source, max_pixels=limit)
            self.memory.get_or_make(
                ("picture", identity), lambda: read_picture(source, max_pixels=limit), _picture_bytes
            )
        except ImageError as error:
            # The name of the file that it lies in meanwhile means nothing to those who sent it.
            text = str(error).replace(str(source), "The picture" if owned else source.name)
            raise (TooLarge if isinstance(error, PictureSizeError) else ImageError)(text) from None
        return PictureInfo(identity, width, height, source.stat().st_size, form, path, owned)

    def _read(self, info: PictureInfo) -> Picture:
        try:
            # Files that are not ours may have become other pictures meanwhile.
            if info.owned or _digest(info.path) == info.id:
                return read_picture(info.path, max_pixels=self._settings.max_pixels)
        except (ImageError, OSError):
            pass
        self._forget(info)
        raise Gone("This picture was dropped, or its file has changed; send it again.")

    def _known(self, identity: str) -> PictureInfo | None:
        with self._lock:
            info = self._pictures.get(identity)
            if info is not None:
                self._pictures.move_to_end(identity)
            return info

    def _remember(self, info: PictureInfo) -> None:
        with self._lock:
            before = self._pictures.pop(info.id, None)
            self.disk += (info.bytes if info.owned else 0) - (before.bytes if before and before.owned else 0)
            self._pictures[info.id] = info
            self._dropped.pop(info.id, None)
            too_many = len(self._pictures) - REMEMBERED
            excess = []
            room = self.disk - self._settings.disk
            for other in self._pictures.values():
                if (room <= 0 and too_many <= 0) or other.id == info.id:
                    break
                if other.owned or too_many > 0:
                    excess.append(other)
                    room -= other.bytes if other.owned else 0
                    too_many -= 1
        for other in excess:
            self._forget(other)

    def _forget(self, info: PictureInfo) -> None:
        with self._lock:
            if self._pictures.pop(info.id, None) is None:
                return
            self.disk -= info.bytes if info.owned else 0
            self._dropped[info.id] = None
            while len(self._dropped) > REMEMBERED:
                self._dropped.popitem(last=False)
        if info.owned:
            info.path.unlink(missing_ok=True)
        self.memory.drop(lambda key: key[1] == info.id)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()[:32]


def _picture_bytes(picture: Picture) -> int:
    return picture.rgb.nbytes + (0 if picture.alpha is None else picture.alpha.nbytes)


def _embedding_bytes(image: EncodedImage) -> int:
    arrays = {id(part): part for part in (*image.features, *image.embedding)}  # often the same
    return sum(int(getattr(part, "nbytes", 0)) for part in arrays.values())
